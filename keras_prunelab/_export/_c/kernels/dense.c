/* y = weights * x + bias at each position. */
#if INT8
static void net_dense(const net_linear *layer, int positions, const int8_t *x, int32_t *sums, int8_t *y)
#else
static void net_dense(const net_linear *layer, int positions, const float *x, float *y)
#endif
{
    const int rows = layer->matrix.rows;
    for (int position = 0; position < positions; ++position, x += layer->matrix.columns, y += rows) {
#if INT8
        memcpy(sums, layer->bias, (size_t)rows * sizeof *sums);
        layer->matrix.add_product(&layer->matrix, x, sums);
        net_scale_sums(&layer->scaling, sums, rows, y);
#else
        memcpy(y, layer->bias, (size_t)rows * sizeof *y);
        layer->matrix.add_product(&layer->matrix, x, y);
#endif
    }
}
