package io.graft.nn;

import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.util.List;

/** Keys (already rotated) and values of all earlier tokens, [B, capacity, Hk, D] for each layer. */
public final class KvCache implements AutoCloseable {
    private final Scope scope;
    private final Tensor[] keys;
    private final Tensor[] values;
    private final int batch;
    private final int capacity;
    private KvCache side;
    private int length;

    public KvCache(Scope parent, DType dtype, BlockShape shape, int layers, int batch, int capacity) {
        this.scope = parent.scope();
        this.batch = batch;
        this.capacity = capacity;
        this.keys = new Tensor[layers];
        this.values = new Tensor[layers];
        for (int i = 0; i < layers; i++) {
            keys[i] = scope.tensor(Memory.ACTIVATION, dtype, batch, capacity, shape.kvHeads(), shape.headDim());
            values[i] = scope.tensor(Memory.ACTIVATION, dtype, batch, capacity, shape.kvHeads(), shape.headDim());
        }
    }

    /** Makes room for the keys and values of a network beside the blocks too. */
    public KvCache withSide(DType dtype, BlockShape shape) {
        side = new KvCache(scope, dtype, shape, keys.length, batch, capacity);
        return this;
    }

    /** What belongs to the network beside the blocks; null where there is none. */
    public KvCache side() {
        return side;
    }

    /** One layer as attention reads it, and the place of the new tokens. */
    record Layer(Tensor keys, Tensor values, Tensor newKeys, Tensor newValues) {}

    /** One row of a batch, in a cache of its own, and how many tokens that held before. */
    record Row(Layer layer, long past) {}

    /** All layers with the new tokens included; lives as long as the scope it was made in. */
    public static final class Views {
        private final Layer[] layers;
        private final Row[][] rows;
        private final Scope step;

        private Views(Layer[] layers, Row[][] rows, Scope step) {
            this.layers = layers;
            this.rows = rows;
            this.step = step;
        }

        /** null where each row has a cache of its own. */
        Layer layer(int index) {
            return layers == null ? null : layers[index];
        }

        /** null where one cache holds all rows. */
        Row[] rows(int index) {
            return rows == null ? null : rows[index];
        }

        /** One row of a batch [B, 1, H, D]. */
        Tensor row(Tensor batch, int row) {
            long[] shape = {1, 1, batch.size(2), batch.size(3)};
            return step.view(batch, row * batch.stride(0), shape, batch.strides());
        }
    }

    /** Caches of one row each, which hold different numbers of tokens, with room for one more in each. */
    public static Views together(Scope step, List<KvCache> caches) {
        int count = caches.get(0).keys.length;
        Row[][] rows = new Row[count][caches.size()];
        for (int row = 0; row < caches.size(); row++) {
            KvCache cache = caches.get(row);
            Views own = cache.views(step, 1);
            for (int layer = 0; layer < count; layer++) {
                rows[layer][row] = new Row(own.layer(layer), cache.length);
            }
        }
        return new Views(null, rows, step);
    }

    /** Makes room for {@code added} tokens behind those held; call {@link #advance} when they are written. */
    public Views views(Scope step, int added) {
        if (length + added > capacity) {
            throw new IllegalArgumentException(
                    "KvCache.views: " + length + " + " + added + " tokens exceed the capacity " + capacity);
        }
        Layer[] layers = new Layer[keys.length];
        for (int i = 0; i < layers.length; i++) {
            layers[i] = new Layer(
                    part(step, keys[i], 0, length + added),
                    part(step, values[i], 0, length + added),
                    part(step, keys[i], length, added),
                    part(step, values[i], length, added));
        }
        return new Views(layers, null, step);
    }

    private Tensor part(Scope step, Tensor whole, int from, int count) {
        long[] shape = {batch, count, whole.size(2), whole.size(3)};
        return step.view(whole, from * whole.stride(1), shape, whole.strides());
    }

    /** Puts a prefix in front of the tokens to come; the cache must be empty. */
    public void start(Prefix prefix) {
        try (Scope step = scope.scope()) {
            Views views = views(step, prefix.length());
            for (int i = 0; i < keys.length; i++) {
                prefix.write(step, i, views.layer(i).newKeys(), views.layer(i).newValues());
            }
        }
        advance(prefix.length());
    }

    public void advance(int added) {
        length += added;
        if (side != null) {
            side.advance(added);
        }
    }

    /** Tokens held of each row. */
    public int length() {
        return length;
    }

    public int capacity() {
        return capacity;
    }

    public int batch() {
        return batch;
    }

    /** Forgets all tokens. */
    public void clear() {
        length = 0;
        if (side != null) {
            side.clear();
        }
    }

    @Override
    public void close() {
        scope.close();
    }
}
