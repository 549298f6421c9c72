//! Drawing with wgpu: tile textures, pipelines, shaders and readback. Knows no user interface.
