/* The mean of each window, channel by channel; what is outside of the image does not count. */
static void net_average_pool(const net_window *window, const net_value *x, net_value *y)
{
    const int channels = window->channels;
    for (int row = 0; row < window->output_rows; ++row) {
        for (int column = 0; column < window->output_columns; ++column, y += channels) {
            const int top = row * window->row_stride - window->rows_before;
            const int left = column * window->column_stride - window->columns_before;
            for (int c = 0; c < channels; ++c) {
                net_sum sum = 0;
                int count = 0;
                for (int i = 0; i < window->window_rows * window->window_columns; ++i) {
                    const int u = top + i / window->window_columns, v = left + i % window->window_columns;
                    if (u >= 0 && u < window->rows && v >= 0 && v < window->columns) {
                        sum += x[((size_t)u * (size_t)window->columns + (size_t)v) * (size_t)channels + (size_t)c];
                        ++count;
                    }
                }
#if INT8
                y[c] = (int8_t)((sum > 0 ? sum + count / 2 : sum - count / 2) / count);
#else
                y[c] = sum / (float)count;
#endif
            }
        }
    }
}
