import subprocess
import sys

TRAIN = """
import torch
torch.manual_seed(0)
network = torch.nn.Linear(3, 2)
optimizer = torch.optim.AdamW(network.parameters(), lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    network(torch.ones(4, 3)).square().sum().backward()
    optimizer.step()
print(network.weight.tolist())
"""

LIBRARIES = """
import inspect
import accelerate, kornia.augmentation, pytorch_metric_learning.losses, timm, torchvision.transforms.v2
timm.create_model("resnet10t")
accelerate.Accelerator(cpu=True).prepare(network, optimizer, device_placement=[False, True])
inspect.stack()
"""

COMPILER = """
import sys
heavy = "torch._dynamo.symbolic_convert", "torch._inductor", "sympy"
print([name for name in heavy if name in sys.modules])
"""

COMPILED = """
@torch.compile(backend="eager")
def twice(x):
    return 2 * x
print(twice(torch.ones(1)).item())
"""


def run(code, repository):
    """What a fresh process prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_training_and_the_libraries_bring_no_compiler_and_the_bits_are_the_same(repository):
    weights, compiler, *twice = run(f"import stages{TRAIN}{LIBRARIES}{COMPILER}{COMPILED}", repository)
    assert compiler == "[]"
    assert [weights] == run(TRAIN, repository)
    assert twice == ["2.0"], "whoever compiles nevertheless can do so"


def test_whoever_asks_for_more_gets_the_compiler_itself(repository):
    code = "import stages, torch._dynamo\nimport torch._dynamo.config\nprint(torch._dynamo.config.__name__)"
    code += "\nprint(torch._dynamo.eval_frame.OptimizedModule.__module__)"
    assert run(code, repository) == ["torch._dynamo.config", "torch._dynamo.eval_frame"]
