import lightning.pytorch as pl
import torch

from regtui.integrations.lightning import Recorder


class Net(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Linear(8, 2)

    def training_step(self, batch, index):
        return torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def validation_step(self, batch, index):
        self.log("val_loss", torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1]))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 1e-2)


x = torch.randn(200, 8)
rows = torch.utils.data.TensorDataset(x, (x.sum(1) > 0).long())
train, valid = (
    torch.utils.data.DataLoader(part, batch_size=32) for part in torch.utils.data.random_split(rows, [160, 40])
)

recorder = Recorder()  # a logger and a callback in one object
pl.Trainer(max_epochs=5, logger=recorder, callbacks=[recorder]).fit(Net(), train, valid)
