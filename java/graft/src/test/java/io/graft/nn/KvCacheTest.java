package io.graft.nn;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import org.junit.jupiter.api.Test;

class KvCacheTest {
    private static final BlockShape SHAPE = new BlockShape(16, 32, 4, 2, 4, 1e-5);

    @Test
    void newTokensStandBehindTheOldOnes() {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                KvCache cache = new KvCache(scope, DType.F32, SHAPE, 1, 1, 5)) {
            write(scope, cache, 1, 2);
            write(scope, cache, 3);
            assertThat(cache.length()).isEqualTo(3);
            float[] keys = cache.views(scope, 1).layer(0).keys().floats();
            assertThat(keys).hasSize(4 * 8);
            assertThat(new float[] {keys[0], keys[8], keys[16], keys[24]}).containsExactly(1, 2, 3, 0);
        }
    }

    private static void write(Scope scope, KvCache cache, float... tokens) {
        KvCache.Layer layer = cache.views(scope, tokens.length).layer(0);
        float[] values = new float[tokens.length * 8];
        for (int i = 0; i < values.length; i++) {
            values[i] = tokens[i / 8];
        }
        layer.newKeys().set(values);
        cache.advance(tokens.length);
    }

    @Test
    void moreTokensThanTheCapacityAreRefused() {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                KvCache cache = new KvCache(scope, DType.F32, SHAPE, 2, 1, 3)) {
            cache.advance(2);
            assertThatThrownBy(() -> cache.views(scope, 2)).hasMessageContaining("2 + 2 tokens exceed the capacity 3");
            cache.clear();
            assertThat(cache.length()).isZero();
        }
    }
}
