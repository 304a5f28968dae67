"""Rows of the layer contract: layers that look vectors up in a table."""

from tests.contract.rows import Row, floats, integers

TABLE = {"input_dim": 7, "output_dim": 3}

ROWS = [
    Row("Embedding", TABLE, integers(4, 5, high=7)),
    Row("Embedding", {**TABLE, "mask_zero": True}, integers(4, high=7)),
    Row("Embedding", {**TABLE, "embeddings_regularizer": "l2"}, integers(2, 3, 4, high=7)),
    Row("Embedding", {**TABLE, "embeddings_initializer": "ones"}, integers(4, 5, high=7) - 7),  # counted from the end
    Row("Embedding", {**TABLE, "activity_regularizer": "l1"}, floats(4, 5, low=0.0, high=7.0), gradient=False),
    Row("ReversibleEmbedding", TABLE, integers(4, 5, high=7)),
    Row(
        "ReversibleEmbedding",
        {**TABLE, "mask_zero": True, "tie_weights": False},
        integers(4, 5, high=7),
        gradient=False,
    ),
    Row("ReversibleEmbedding", TABLE, floats(4, 3), call={"reverse": True}),
    Row("ReversibleEmbedding", {**TABLE, "logit_soft_cap": 2.0}, floats(4, 5, 3), call={"reverse": True}),
    Row(
        "ReversibleEmbedding",
        {**TABLE, "tie_weights": False, "reverse_dtype": "float32"},
        floats(4, 3),
        call={"reverse": True},
        gradient=False,  # the table plays no part here
    ),
]
