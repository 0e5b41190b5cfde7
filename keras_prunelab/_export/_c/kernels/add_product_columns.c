/* Row by row, the values that are not zero and their columns (CSR). Two sums at once: neither waits for the other. */
static void net_add_product_columns(const net_matrix *matrix, const net_value *restrict x, net_sum *restrict sums)
{
    const net_value *restrict value = matrix->values;
    const net_column *restrict column = matrix->places;
    for (int row = 0; row < matrix->rows; ++row) {
        int left = matrix->counts[row];
        net_sum even = 0, odd = 0;
        for (; left >= 4; left -= 4, value += 4, column += 4) {
            even += (net_sum)value[0] * x[column[0]];
            odd += (net_sum)value[1] * x[column[1]];
            even += (net_sum)value[2] * x[column[2]];
            odd += (net_sum)value[3] * x[column[3]];
        }
        for (; left > 0; --left) {
            even += (net_sum)*value++ * x[*column++];
        }
        sums[row] += even + odd;
    }
}
