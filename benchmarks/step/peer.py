"""One method of PyTorch + PEFT in one process: whole training steps of a random Llama, 4 x 256 tokens. Prints one line of
JSON, like io.graft.benchmarks.TrainingStep, its counterpart.

usage: peer.py frozen|full|lora|lora_dropout|dora|ia3|prompt|paca f32|bf16 30m|150m ROUNDS
       peer.py serve MODEL frozen|full|ADAPTER f32|bf16 THREADS

The second form is a contender of `graft bench`, which has written the model and the adapter: it reads a line of JSON with the
rows of token ids and how many tokens to compare, answers with their logits, then takes a step for each line `step` and
answers with its loss and the largest resident size, until its input ends.
"""
import json
import resource
import statistics
import sys
import time

import peft
import torch
from transformers import LlamaConfig, LlamaForCausalLM

SHAPES = {
    "30m": dict(hidden_size=512, num_hidden_layers=8, intermediate_size=1408, num_attention_heads=8,
                num_key_value_heads=8),
    "150m": dict(hidden_size=1024, num_hidden_layers=12, intermediate_size=2816, num_attention_heads=16,
                 num_key_value_heads=8),
}
LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
WARM_UP = 3


class PartialColumns(torch.autograd.Function):
    """PaCA as its authors run it: the columns are written into W, one product, and x[:, I] is kept."""

    @staticmethod
    def forward(ctx, x, w, columns, index):
        w.data[:, index] = columns.detach().to(w.dtype)
        ctx.save_for_backward(x.reshape(-1, x.shape[-1])[:, index], w)
        return x @ w.t()

    @staticmethod
    def backward(ctx, dy):
        x, w = ctx.saved_tensors
        return dy @ w, None, (dy.reshape(-1, dy.shape[-1]).t() @ x).float(), None


class PacaLinear(torch.nn.Module):
    def __init__(self, linear, rank=16):
        super().__init__()
        self.weight = linear.weight
        self.index = torch.randperm(linear.in_features)[:rank]
        self.columns = torch.nn.Parameter(linear.weight.data[:, self.index].float())

    def forward(self, x):
        return PartialColumns.apply(x, self.weight, self.columns, self.index)


def build(method, dtype, shape):
    config = LlamaConfig(**SHAPES[shape], vocab_size=8192, max_position_embeddings=512, tie_word_embeddings=True,
                         attn_implementation="sdpa")
    model = LlamaForCausalLM(config).to(torch.bfloat16 if dtype == "bf16" else torch.float32)
    if method == "frozen":
        model.requires_grad_(False)
        model.enable_input_require_grads()
    elif method == "paca":
        model.requires_grad_(False)
        for module in list(model.modules()):
            for name, child in list(module.named_children()):
                if name in LINEARS:
                    setattr(module, name, PacaLinear(child))
        model.enable_input_require_grads()
    elif not method.startswith("full"):  # all forms of full fine-tuning are held against PyTorch's AdamW
        if method == "ia3":
            adapter = peft.IA3Config(target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"],
                                     task_type="CAUSAL_LM")
        elif method == "prompt":
            adapter = peft.PromptTuningConfig(num_virtual_tokens=20, task_type="CAUSAL_LM")
        else:
            adapter = peft.LoraConfig(r=16, lora_alpha=32, lora_dropout=0.1 if method == "lora_dropout" else 0.0,
                                      use_dora=method == "dora", target_modules=LINEARS, task_type="CAUSAL_LM")
        model = peft.get_peft_model(model, adapter)
    return model.train()


def main(method, dtype, shape, rounds):
    torch.manual_seed(0)
    model = build(method, dtype, shape)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=1e-4) if trained else None
    ids = torch.randint(3, 8192, (4, 256))
    times = []
    for _ in range(int(rounds) + WARM_UP):
        start = time.perf_counter()
        model(input_ids=ids, labels=ids).loss.backward()
        if optimiser:
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        times.append((time.perf_counter() - start) * 1e3)
    times = times[WARM_UP:]
    median = statistics.median(times)
    print(json.dumps(dict(method=method, dtype=dtype, shape=shape, ms=round(median, 1), min_ms=round(min(times), 1),
                          tokens_per_second=round(1024 / median * 1e3), trained=sum(p.numel() for p in trained),
                          peak_rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)))


def opened(folder, adapter, dtype):
    """The model in a folder, with what is trained of it."""
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.bfloat16 if dtype == "bf16" else torch.float32,
                                             attn_implementation="sdpa")
    if adapter == "frozen":
        model.requires_grad_(False)
        model.model.layers[0].input_layernorm.weight.requires_grad_(True)
    elif adapter != "full":
        model = peft.PeftModel.from_pretrained(model, adapter, is_trainable=True)
    return model.train()


def answer(**fields):
    print(json.dumps(fields), flush=True)


def serve(folder, adapter, dtype, threads):
    torch.set_num_threads(int(threads))
    model = opened(folder, adapter, dtype)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=1e-4)
    request = json.loads(sys.stdin.readline())
    ids, compared = torch.tensor(request["ids"]), request["compared"]
    with torch.no_grad():
        # Virtual tokens come before those that are compared.
        logits = model(input_ids=ids[:1, :compared]).logits[0, -compared:]
    answer(logits=logits.float().flatten().tolist())
    for _ in sys.stdin:
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        answer(loss=loss.item(), peak_rss=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


if len(sys.argv) == 6 and sys.argv[1] == "serve":
    serve(*sys.argv[2:])
elif len(sys.argv) == 5:
    main(*sys.argv[1:])
else:
    sys.exit(__doc__)
