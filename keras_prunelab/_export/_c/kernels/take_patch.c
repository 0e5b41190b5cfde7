/* What a window sees, one place after the other. */
static void net_take_patch(const net_window *window, const net_value *x, int row, int column, net_value *patch)
{
    const int top = row * window->row_stride - window->rows_before;
    const int left = column * window->column_stride - window->columns_before;
    const size_t pixel = (size_t)window->channels * sizeof *patch;
    for (int i = 0; i < window->window_rows; ++i) {
        const int y = top + i * window->row_dilation;
        for (int j = 0; j < window->window_columns; ++j, patch += window->channels) {
            const int z = left + j * window->column_dilation;
            if (y >= 0 && y < window->rows && z >= 0 && z < window->columns) {
                memcpy(patch, x + ((size_t)y * (size_t)window->columns + (size_t)z) * (size_t)window->channels, pixel);
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
