//! The neural networks, as candle modules: tensors in, tensors out.
