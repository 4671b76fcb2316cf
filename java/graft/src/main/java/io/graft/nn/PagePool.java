package io.graft.nn;

import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;

/**
 * Memory for the keys and values of many sequences: pages of so many tokens in every layer, which a sequence takes when it
 * begins and gives back when it ends (Kwon et al., arXiv 2309.06180, section 4.1). A page's number holds for all layers.
 */
public final class PagePool implements AutoCloseable {
    /** Tokens of a page where nobody says otherwise: what all implementations of attention serve. */
    public static final int PAGE = 64;

    private final Scope scope;
    private final int size;
    private final Tensor[] keys;
    private final Tensor[] values;
    private final Weight[] keyRows;
    private final Weight[] valueRows;
    private final int[] free;
    private int left;
    private PagePool side;

    /**
     * @param pages how many
     * @param size tokens of each
     */
    public PagePool(Scope parent, DType dtype, BlockShape shape, int layers, int pages, int size) {
        if (pages < 1 || size < 1) {
            throw new IllegalArgumentException("PagePool: " + pages + " pages of " + size + " tokens");
        }
        this.scope = parent.scope();
        this.size = size;
        this.keys = new Tensor[layers];
        this.values = new Tensor[layers];
        this.keyRows = new Weight[layers];
        this.valueRows = new Weight[layers];
        try {
            for (int i = 0; i < layers; i++) {
                keys[i] = scope.tensor(Memory.ACTIVATION, dtype, pages, size, shape.kvHeads(), shape.headDim());
                values[i] = scope.tensor(Memory.ACTIVATION, dtype, pages, size, shape.kvHeads(), shape.headDim());
                keyRows[i] = scope.weight(keys[i].reshape((long) pages * size, shape.keyWidth()));
                valueRows[i] = scope.weight(values[i].reshape((long) pages * size, shape.keyWidth()));
            }
        } catch (RuntimeException | Error e) {
            scope.close();
            throw e;
        }
        this.free = new int[pages];
        for (int i = 0; i < pages; i++) {
            give(pages - 1 - i);
        }
    }

    /** Makes the same pages for a network beside the blocks too. */
    public PagePool withSide(DType dtype, BlockShape shape) {
        side = new PagePool(scope, dtype, shape, keys.length, free.length, size);
        return this;
    }

    /** What belongs to the network beside the blocks; null where there is none. */
    PagePool side() {
        return side;
    }

    /** How many pages so many tokens of one sequence take. */
    public int pagesOf(int tokens) {
        return tokens / size + (tokens % size == 0 ? 0 : 1);
    }

    /** The bytes of pages for so many tokens, in all layers, without those of a network beside the blocks. */
    public static long bytes(DType dtype, BlockShape shape, int layers, long tokens) {
        return 2L * layers * tokens * shape.keyWidth() * dtype.bytes();
    }

    /** Takes pages out of the pool. */
    int[] take(int count) {
        if (count > left) {
            throw new IllegalStateException("PagePool: " + count + " pages of " + size + " tokens are wanted, " + left
                    + " of " + free.length + " are free");
        }
        int[] taken = new int[count];
        for (int i = 0; i < count; i++) {
            taken[i] = free[--left];
        }
        return taken;
    }

    void give(int... pages) {
        for (int i = pages.length - 1; i >= 0; i--) {
            free[left++] = pages[i];
        }
    }

    /** Pages that no sequence has. */
    public int free() {
        return left;
    }

    /** All pages. */
    public int pages() {
        return free.length;
    }

    /** Tokens of a page. */
    public int size() {
        return size;
    }

    /** A layer's keys [pages, size, Hk, D]. */
    Tensor keys(int layer) {
        return keys[layer];
    }

    /** A layer's values, likewise. */
    Tensor values(int layer) {
        return values[layer];
    }

    /** A layer's keys as a matrix [pages · size, Hk · D], to be written by rows. */
    Weight keyRows(int layer) {
        return keyRows[layer];
    }

    /** A layer's values, likewise. */
    Weight valueRows(int layer) {
        return valueRows[layer];
    }

    /** Frees the memory; sequences that still have pages must not go on. */
    @Override
    public void close() {
        scope.close();
    }
}
