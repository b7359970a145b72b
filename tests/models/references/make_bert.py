"""Record what transformers' BERT gives, in float64: `bert.npz` and the names of MiniLM-L6's file.

Made with torch 2.13.0 and transformers 5.24.0, in an environment of their own:

    python tests/models/references/make_bert.py
"""

import numpy as np
import torch
from recorded import fill, packed, shapes, write
from seeded import sentences, summary
from transformers import BertConfig, BertModel

SMALL = {"hidden_size": 48, "num_attention_heads": 4, "num_hidden_layers": 2}
SMALL |= {"intermediate_size": 192, "vocab_size": 60, "max_position_embeddings": 20}


def made(**sizes: int) -> BertModel:
    """Make a BERT of these sizes, with attention that is no fused kernel."""
    return BertModel(BertConfig(**sizes, attn_implementation="eager")).eval()


network = made(**SMALL).double()
fill(network)
stored = {"shapes": packed(shapes(network))}
ids = sentences(SMALL["vocab_size"], 12)
mask = torch.from_numpy(ids != 0)
with torch.no_grad():
    given = network(torch.from_numpy(ids).long(), mask.long(), output_hidden_states=True)
states = [state * mask[..., None] for state in given.hidden_states]
outputs = {"embed": states[0]} | {f"block{i}": state for i, state in enumerate(states[1:], 1)}
outputs["pool"] = states[-1].sum(1) / mask.sum(1, keepdim=True)
stored |= {f"eval/12/{cut}": summary(value.numpy()) for cut, value in outputs.items()}
write("bert", stored)

minilm = made(hidden_size=384, num_attention_heads=12, num_hidden_layers=6, intermediate_size=1536)
print("minilm-l6", sum(np.prod(shape) for shape in shapes(minilm).values()))
write("bert_shapes", {"minilm-l6": packed(shapes(minilm))})
