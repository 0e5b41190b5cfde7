/* A matrix of `rows` outputs by `columns` inputs. `add_product` adds its product with x to the sums, as it is stored:
   all values, or those that are not zero and their places. */
typedef struct net_matrix {
    void (*add_product)(const struct net_matrix *matrix, const net_value *x, net_sum *sums);
    int rows, columns;
    const net_value *values;
    const void *places;
    const net_count *counts; /* how many values each row has, where that is not always the same */
} net_matrix;
