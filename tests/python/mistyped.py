"""Each line that says so is one that mypy has to refuse."""

import zoo_tuning as zt

zoo = zt.open_zoo("a.pth", 7)  # wrong
network = zoo.network("soup", classes=10)  # wrong
network.save(1)  # wrong
zt.Optimizer(network, momentun=0.9)  # wrong
zt.Optimizer(network, rule="sdg")  # wrong
loss: zt.Tensor = network.logits([[1.0]])  # wrong
zt.cross_entropy(network([1.0]), [0]).backwards()  # wrong
network.form.nothing  # wrong
