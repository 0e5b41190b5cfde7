/* What a window sees, one place after the other. */
static void net_take_patch(const net_window *window, const net_value *x, int row, int column, net_value *patch)
{
    const int top = row * window->row_stride - window->rows_before;
    const int left = column * window->column_stride - window->columns_before;
    const int is_inside = left >= 0 && left + window->window_columns <= window->columns;
    const int is_in_one_piece = is_inside && window->column_dilation == 1;
    const size_t pixel = (size_t)window->channels * sizeof *patch;
    for (int i = 0; i < window->window_rows; ++i) {
        const int y = top + i * window->row_dilation;
        const int has_row = y >= 0 && y < window->rows;
        const net_value *line = has_row ? x + (ptrdiff_t)y * window->columns * window->channels : x;
        if (has_row && is_in_one_piece) {
            memcpy(patch, line + (ptrdiff_t)left * window->channels, (size_t)window->window_columns * pixel);
            patch += window->window_columns * window->channels;
            continue;
        }
        for (int j = 0; j < window->window_columns; ++j, patch += window->channels) {
            const int z = left + j * window->column_dilation;
            if (has_row && z >= 0 && z < window->columns) {
                memcpy(patch, line + (ptrdiff_t)z * window->channels, pixel);
            } else {
#if INT8
                memset(patch, window->zero_point, pixel);
#else
                memset(patch, 0, pixel);
#endif
            }
        }
    }
}
