/* Each channel has `multiplier` windows of its own; `weights` go by place, then by output. */
#if INT8
static void net_depthwise(const net_window *window, int multiplier, const int8_t *weights, const int32_t *bias,
                          const net_scaling *scaling, const int8_t *x, int32_t *sums, int8_t *y)
#else
static void net_depthwise(const net_window *window, int multiplier, const float *weights, const float *bias,
                          const float *x, float *y)
#endif
{
    const int channels = window->channels, outputs = channels * multiplier;
    for (int row = 0; row < window->output_rows; ++row) {
        for (int column = 0; column < window->output_columns; ++column, y += outputs) {
            const int top = row * window->row_stride - window->rows_before;
            const int left = column * window->column_stride - window->columns_before;
            const net_value *weight = weights;
#if !INT8
            float *const sums = y;
#endif
            memcpy(sums, bias, (size_t)outputs * sizeof *sums);
            for (int i = 0; i < window->window_rows * window->window_columns; ++i, weight += outputs) {
                const int u = top + i / window->window_columns * window->row_dilation;
                const int v = left + i % window->window_columns * window->column_dilation;
                if (u < 0 || u >= window->rows || v < 0 || v >= window->columns) {
                    continue;
                }
                const net_value *pixel = x + ((size_t)u * (size_t)window->columns + (size_t)v) * (size_t)channels;
                if (multiplier == 1) {
                    for (int c = 0; c < channels; ++c) {
#if INT8
                        sums[c] += (pixel[c] - window->zero_point) * weight[c];
#else
                        sums[c] += pixel[c] * weight[c];
#endif
                    }
                } else {
                    for (int o = 0; o < outputs; ++o) {
#if INT8
                        sums[o] += (pixel[o / multiplier] - window->zero_point) * weight[o];
#else
                        sums[o] += pixel[o / multiplier] * weight[o];
#endif
                    }
                }
            }
#if INT8
            net_scale_sums(scaling, sums, outputs, y);
#endif
        }
    }
}
