package io.graft.nn;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

class KvCacheTest {
    private static final BlockShape SHAPE = new BlockShape(16, 32, 4, 2, 4, 1e-5);
    private static final int WIDTH = 8;

    /** Tokens cross from a page to the next, and those of two sequences do not touch. */
    @Test
    void newTokensStandBehindTheOldOnes() {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                PagePool pool = new PagePool(scope, DType.F32, SHAPE, 2, 5, 3);
                KvCache one = new KvCache(pool, 8);
                KvCache other = new KvCache(pool, 4)) {
            write(scope, pool, List.of(one), 2, 1, 2);
            write(scope, pool, List.of(one, other), 1, 3, 10);
            write(scope, pool, List.of(one), 4, 4, 5, 6, 7);
            write(scope, pool, List.of(other), 3, 11, 12, 13);
            assertThat(one.length()).isEqualTo(7);
            assertThat(other.length()).isEqualTo(4);
            for (int layer = 0; layer < 2; layer++) {
                assertThat(held(scope, pool, one, layer)).containsExactly(1, 2, 3, 4, 5, 6, 7);
                assertThat(held(scope, pool, other, layer)).containsExactly(10, 11, 12, 13);
            }
        }
    }

    private static void write(Scope scope, PagePool pool, List<KvCache> caches, int added, float... tokens) {
        Tensor news = scope.tensor(Memory.ACTIVATION, DType.F32, (long) caches.size() * added, WIDTH);
        float[] values = new float[tokens.length * WIDTH];
        for (int i = 0; i < values.length; i++) {
            values[i] = tokens[i / WIDTH];
        }
        news.set(values);
        KvCache.Step step = new KvCache.Step(scope, caches.size(), added).of(caches);
        for (int layer = 0; layer < 2; layer++) {
            step.write(scope.context(), layer, news, news);
        }
        caches.forEach(cache -> cache.advance(added));
    }

    /** The first number of each token, found as attention finds it. */
    private static float[] held(Scope scope, PagePool pool, KvCache cache, int layer) {
        KvCache.Step step = new KvCache.Step(scope, 1, 0).of(List.of(cache));
        int[] pages = step.pages().ints();
        int length = step.lengths().ints()[0];
        float[] keys = step.keys(layer).floats();
        assertThat(step.values(layer).floats()).isEqualTo(keys);
        float[] result = new float[length];
        for (int token = 0; token < length; token++) {
            result[token] = keys[(pages[token / pool.size()] * pool.size() + token % pool.size()) * WIDTH];
        }
        return result;
    }

    /** What somebody else puts into the table stays until a page comes or a sequence goes. */
    @Test
    void theTableIsWrittenWhereAPageIsAddedAlone() {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                PagePool pool = new PagePool(scope, DType.F32, SHAPE, 1, 6, 4);
                KvCache one = new KvCache(pool, 12);
                KvCache other = new KvCache(pool, 8)) {
            KvCache.Step step = new KvCache.Step(scope, 1, 1);
            int[] written = new int[12];
            for (int token = 0; token < written.length; token++) {
                int[] table = step.of(List.of(one)).pages().ints();
                if (table[0] != 99) {
                    written[token] = table.length;
                    Arrays.fill(table, 99);
                    step.pages().set(table);
                }
                one.advance(1);
            }
            assertThat(written).containsExactly(1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0);
            assertThat(step.of(List.of(other)).pages().ints()).doesNotContain(99);
            other.close();
            try (KvCache next = new KvCache(pool, 4)) {
                assertThat(step.of(List.of(next)).pages().ints()).containsExactly(3, 0, 0);
            }
        }
    }

    @Test
    void pagesAreGivenBackAndTakenAgain() {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope()) {
            long before = context.memory(Memory.ACTIVATION);
            PagePool pool = new PagePool(scope, DType.BF16, SHAPE, 3, 4, 16).withSide(DType.BF16, SHAPE);
            assertThat(context.memory(Memory.ACTIVATION) - before)
                    .isEqualTo(2 * PagePool.bytes(DType.BF16, SHAPE, 3, 4 * 16))
                    .isEqualTo(2 * 3 * 2 * 64 * WIDTH * 2);
            KvCache long1 = new KvCache(pool, 33);
            assertThat(pool.free()).isEqualTo(1);
            assertThatThrownBy(() -> new KvCache(pool, 17))
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("2 pages of 16 tokens are wanted, 1 of 4 are free");
            int[] had =
                    new KvCache.Step(scope, 1, 33).of(List.of(long1)).pages().ints();
            long1.close();
            long1.close();
            assertThat(pool.free()).isEqualTo(4);
            assertThatThrownBy(() -> new KvCache.Step(scope, 1, 1).of(List.of(long1)))
                    .hasMessageContaining("the cache is closed");
            try (KvCache next = new KvCache(pool, 48)) {
                assertThat(new KvCache.Step(scope, 1, 48)
                                .of(List.of(next))
                                .pages()
                                .ints())
                        .isEqualTo(had);
            }
            pool.close();
            assertThat(context.memory(Memory.ACTIVATION)).isEqualTo(before + 2 * 16 + 4 * (33 + 48) + 8);
        }
    }

    @Test
    void whatDoesNotGoIsRefused() {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                PagePool pool = new PagePool(scope, DType.F32, SHAPE, 2, 3, 2);
                PagePool another = new PagePool(scope, DType.F32, SHAPE, 2, 3, 2);
                KvCache cache = new KvCache(pool, 3);
                KvCache foreign = new KvCache(another, 3)) {
            cache.advance(2);
            assertThatThrownBy(() -> new KvCache.Step(scope, 1, 2).of(List.of(cache)))
                    .hasMessageContaining("2 + 2 tokens exceed the capacity 3");
            assertThatThrownBy(() -> new KvCache.Step(scope, 2, 1).of(List.of(cache, foreign)))
                    .hasMessageContaining("different pools");
            cache.clear();
            assertThat(cache.length()).isZero();
            assertThatThrownBy(() -> new PagePool(scope, DType.F32, SHAPE, 2, 0, 2))
                    .hasMessageContaining("0 pages of 2 tokens");
        }
    }
}
