/* y = bias + weights * what of x reaches each place: a transposed convolution. The window's rows and columns before are
   those that are cut off. */
#if INT8
static void net_spread(const net_linear *layer, const net_window *window, const int8_t *x, int8_t *patch,
                       int32_t *sums, int8_t *y)
#else
static void net_spread(const net_linear *layer, const net_window *window, const float *x, float *patch, float *y)
#endif
{
    const int rows = layer->matrix.rows;
    for (int row = 0; row < window->output_rows; ++row) {
        for (int column = 0; column < window->output_columns; ++column, y += rows) {
            net_take_sources(window, x, row, column, patch);
#if INT8
            memcpy(sums, layer->bias, (size_t)rows * sizeof *sums);
            layer->matrix.add_product(&layer->matrix, patch, sums);
            net_scale_sums(&layer->scaling, sums, rows, y);
#else
            memcpy(y, layer->bias, (size_t)rows * sizeof *y);
            layer->matrix.add_product(&layer->matrix, patch, y);
#endif
        }
    }
}
