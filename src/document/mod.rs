//! The picture being edited: tiles, mask, tools, patches (results) and history.
//! Pure data: no window, no graphics card, no inference.
