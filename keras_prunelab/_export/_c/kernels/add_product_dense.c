/* Every value, input by input: the inner loop runs over outputs, so that compilers use vector instructions. */
static void net_add_product_dense(const net_matrix *matrix, const net_value *restrict x, net_sum *restrict sums)
{
    const net_value *restrict values = matrix->values;
    const int rows = matrix->rows;
    for (int column = 0; column < matrix->columns; ++column, values += rows) {
        const net_sum factor = x[column];
        for (int row = 0; row < rows; ++row) {
            sums[row] += factor * values[row];
        }
    }
}
