import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

from regtui.integrations.transformers import Recorder

words = torch.randint(100, (80, 8))
rows = [{"input_ids": each, "labels": int(each[0] > 50)} for each in words]
config = BertConfig(vocab_size=100, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)

args = TrainingArguments("out", num_train_epochs=2, logging_steps=2, eval_strategy="epoch", report_to="none")
model = BertForSequenceClassification(config)
Trainer(model, args, train_dataset=rows[:64], eval_dataset=rows[64:], callbacks=[Recorder(classes=2)]).train()
