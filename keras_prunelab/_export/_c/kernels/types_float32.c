typedef float net_value; /* what layers hand on */
typedef float net_sum;   /* what products are summed in */
