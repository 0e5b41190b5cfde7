/* Weights and bias of a layer. */
typedef struct {
    net_matrix matrix;
    const net_sum *bias;
#if INT8
    net_scaling scaling;
#endif
} net_linear;
