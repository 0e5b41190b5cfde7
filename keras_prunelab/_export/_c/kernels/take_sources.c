/* For each place of a window, the place of x that reaches a place of the output through it. */
static void net_take_sources(const net_window *window, const net_value *x, int row, int column, net_value *patch)
{
    const size_t pixel = (size_t)window->channels * sizeof *patch;
    for (int i = 0; i < window->window_rows; ++i) {
        const int down = row + window->rows_before - i * window->row_dilation;
        const int y = down / window->row_stride;
        const int has_row = down >= 0 && down % window->row_stride == 0 && y < window->rows;
        for (int j = 0; j < window->window_columns; ++j, patch += window->channels) {
            const int across = column + window->columns_before - j * window->column_dilation;
            const int z = across / window->column_stride;
            if (has_row && across >= 0 && across % window->column_stride == 0 && z < window->columns) {
                memcpy(patch, x + ((ptrdiff_t)y * window->columns + z) * window->channels, pixel);
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
