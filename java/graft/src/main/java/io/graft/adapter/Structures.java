package io.graft.adapter;

import java.util.Arrays;
import java.util.stream.LongStream;

/**
 * The coupled structures of S2FT (arXiv 2412.06289, section 3): heads of an attention, channels of an MLP. In each half of a
 * block they have one random order, and every projection trains the rows, or columns, that belong to the first of them; so
 * the trained columns of o_proj meet the trained rows of v_proj, and those of down_proj the rows of up_proj and gate_proj.
 * Structures need not be neighbours, so that no weight is permuted and the indices are the checkpoint's own.
 *
 * <p>Where several query heads share keys and values, a key head comes where the first of its query heads does.
 *
 * @param headDim rows or columns of a head; r of a projection of attention must be a multiple of it
 */
public record Structures(long seed, int heads, int kvHeads, int headDim) {
    /** Columns of o_proj and down_proj. */
    public ColumnSelection columns() {
        return (projection, rank) -> {
            String module = projection.module();
            int inputs = (int) projection.weight().k();
            if (module.endsWith("o_proj")) {
                return wholeHeads(module, headOrder(module), rank);
            }
            if (module.endsWith("down_proj")) {
                return sorted(order(module, inputs), module, rank);
            }
            throw new IllegalArgumentException("S2FT: columns of " + module + " belong to no head and to no channel");
        };
    }

    /** Rows of q_proj, k_proj, v_proj, gate_proj and up_proj. */
    public RowSelection rows() {
        return (projection, rank) -> {
            String module = projection.module();
            if (module.endsWith("q_proj")) {
                return wholeHeads(module, headOrder(module), rank);
            }
            if (module.endsWith("k_proj") || module.endsWith("v_proj")) {
                return wholeHeads(module, keyHeadOrder(module), rank);
            }
            if (module.endsWith("gate_proj") || module.endsWith("up_proj")) {
                return sorted(order(module, (int) projection.weight().n()), module, rank);
            }
            throw new IllegalArgumentException("S2FT: rows of " + module + " belong to no head and to no channel");
        };
    }

    /** Whether a module's trained part is columns; rows otherwise. */
    public static boolean hasColumns(String module) {
        return module.endsWith("o_proj") || module.endsWith("down_proj");
    }

    private long[] headOrder(String module) {
        return order(module, heads);
    }

    private long[] keyHeadOrder(String module) {
        int group = heads / kvHeads;
        return LongStream.of(headOrder(module))
                .map(head -> head / group)
                .distinct()
                .toArray();
    }

    /** 0 … count - 1 in the random order of the module's half of its block. */
    private long[] order(String module, int count) {
        return ColumnSelection.shuffled(seed, module.substring(0, Math.max(0, module.lastIndexOf('.'))), count, count);
    }

    private long[] wholeHeads(String module, long[] order, int rank) {
        if (rank % headDim != 0) {
            throw new IllegalArgumentException(
                    "S2FT: r is " + rank + " for " + module + ", not a multiple of the " + headDim + " of a head");
        }
        return LongStream.of(sorted(order, module, rank / headDim))
                .flatMap(head -> LongStream.range(head * headDim, (head + 1) * headDim))
                .toArray();
    }

    private static long[] sorted(long[] order, String module, int count) {
        if (count > order.length) {
            throw new IllegalArgumentException(
                    "S2FT: " + count + " structures are asked of " + module + ", which has only " + order.length);
        }
        long[] first = Arrays.copyOf(order, count);
        Arrays.sort(first);
        return first;
    }
}
