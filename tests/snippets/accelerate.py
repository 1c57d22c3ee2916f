import torch
from accelerate import Accelerator

from regtui.integrations.accelerate import Recorder

recorder = Recorder()
accelerator = Accelerator(log_with=recorder)
accelerator.init_trackers("toy", config={"learning_rate": 0.1})

x = torch.randn(200, 8)
y = (x.sum(1) > 0).long()
net = torch.nn.Linear(8, 2)
net, optimizer = accelerator.prepare(net, torch.optim.SGD(net.parameters(), lr=0.1))

for step in range(1, 101):
    rows = torch.randint(160, (32,))
    loss = torch.nn.functional.cross_entropy(net(x[rows]), y[rows])
    accelerator.backward(loss)
    optimizer.step()
    optimizer.zero_grad()
    accelerator.log({"train_loss": loss.item(), "lr": 0.1}, step=step)
    if step % 20 == 0:
        with torch.no_grad():
            accelerator.log({"val_loss": torch.nn.functional.cross_entropy(net(x[160:]), y[160:]).item()}, step=step)
    if recorder.should_stop():
        break
accelerator.end_training()
