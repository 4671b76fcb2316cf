package io.graft.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Flow;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Tokens by demand: the same as those that are pulled, no more than were asked for, and nothing kept behind the end. */
@Timeout(60)
class TokenPublisherTest {
    private static final int[] PROMPT = {1, 7, 3, 9, 4};
    private static final Executor HERE = Runnable::run;

    private Context context;
    private Scope scope;
    private Llama model;
    private Generator generator;

    @BeforeEach
    void open() {
        context = Context.cpu(1);
        scope = context.scope();
        model = Golden.load(scope, "llama_gqa", DType.F32, Llama.Options.inference());
        generator = new Generator(model);
    }

    @AfterEach
    void nothingStaysOpen() {
        generator.close();
        model.close();
        scope.close();
        context.close();
        assertThat(Context.liveHandles()).isZero();
    }

    private static final class Recorder implements Flow.Subscriber<Integer> {
        final List<Integer> tokens = new ArrayList<>();
        final CountDownLatch ended = new CountDownLatch(1);
        final Consumer<Recorder> onNext;
        Flow.Subscription subscription;
        Throwable error;
        boolean completed;

        Recorder(Consumer<Recorder> onNext) {
            this.onNext = onNext;
        }

        @Override
        public void onSubscribe(Flow.Subscription given) {
            subscription = given;
        }

        @Override
        public void onNext(Integer token) {
            assertThat(ended.getCount()).isOne();
            tokens.add(token);
            onNext.accept(this);
        }

        @Override
        public void onError(Throwable given) {
            error = given;
            ended.countDown();
        }

        @Override
        public void onComplete() {
            completed = true;
            ended.countDown();
        }
    }

    private Recorder subscribe(TokenPublisher publisher, Consumer<Recorder> onNext) {
        Recorder recorder = new Recorder(onNext);
        publisher.subscribe(recorder);
        return recorder;
    }

    private TokenPublisher publisher(int count, Executor executor) {
        return generator.publisher(PROMPT, count, Sampling.greedy(), executor);
    }

    private List<Integer> expected(int count) {
        List<Integer> tokens = new ArrayList<>();
        for (int token : generator.greedy(PROMPT, count)) {
            tokens.add(token);
        }
        return tokens;
    }

    @Test
    void noMoreTokensThanWereAskedFor() {
        List<Integer> expected = expected(6);
        long before = context.memory(Memory.ACTIVATION);
        Recorder recorder = subscribe(publisher(6, HERE), r -> {});
        assertThat(context.memory(Memory.ACTIVATION)).isEqualTo(before);
        recorder.subscription.request(2);
        assertThat(recorder.tokens).isEqualTo(expected.subList(0, 2));
        recorder.subscription.request(1);
        assertThat(recorder.tokens).hasSize(3);
        assertThat(recorder.completed).isFalse();
        assertThat(context.memory(Memory.ACTIVATION)).isGreaterThan(before);
        recorder.subscription.request(Long.MAX_VALUE);
        recorder.subscription.request(Long.MAX_VALUE);
        assertThat(recorder.tokens).isEqualTo(expected);
        assertThat(recorder.completed).isTrue();
        assertThat(context.memory(Memory.ACTIVATION)).isEqualTo(before);
    }

    /** Each token asks for the next one, which must not nest calls. */
    @Test
    void demandFromWithinDoesNotNest() {
        int[] depth = new int[2];
        Recorder recorder = subscribe(publisher(200, HERE), r -> {
            depth[1] = Math.max(depth[1], ++depth[0]);
            r.subscription.request(1);
            depth[0]--;
        });
        recorder.subscription.request(1);
        assertThat(recorder.tokens).isEqualTo(expected(200));
        assertThat(depth[1]).isOne();
    }

    @Test
    void onAThreadOfItsOwn() throws InterruptedException {
        ExecutorService executor = Executors.newSingleThreadExecutor();
        try {
            Recorder recorder = subscribe(publisher(30, executor), r -> r.subscription.request(1));
            recorder.subscription.request(3);
            assertThat(recorder.ended.await(30, TimeUnit.SECONDS)).isTrue();
            assertThat(recorder.tokens).isEqualTo(expected(30));
        } finally {
            executor.shutdownNow();
            assertThat(executor.awaitTermination(30, TimeUnit.SECONDS)).isTrue();
        }
    }

    @Test
    void cancelFreesKeysAndValues() {
        expected(2);
        long before = context.memory(Memory.ACTIVATION);
        TokenPublisher publisher = publisher(50, HERE);
        Recorder recorder = subscribe(publisher, r -> {
            if (r.tokens.size() == 3) {
                r.subscription.cancel();
            }
        });
        recorder.subscription.request(Long.MAX_VALUE);
        assertThat(recorder.tokens).hasSize(3);
        assertThat(context.memory(Memory.ACTIVATION)).isEqualTo(before);
        recorder.subscription.request(5);
        recorder.subscription.cancel();
        assertThat(recorder.tokens).hasSize(3);
        assertThat(recorder.completed).isFalse();
        assertThat(recorder.error).isNull();
        Recorder idle = subscribe(publisher, r -> {});
        idle.subscription.request(1);
        idle.subscription.cancel();
        assertThat(context.memory(Memory.ACTIVATION)).isEqualTo(before);
        Recorder next = subscribe(publisher, r -> {});
        next.subscription.request(2);
        assertThat(next.tokens).isEqualTo(expected(2));
        next.subscription.cancel();
    }

    @Test
    void errorsReachTheSubscriber() {
        expected(2);
        long before = context.memory(Memory.ACTIVATION);
        Recorder none = subscribe(generator.publisher(new int[0], 3, Sampling.greedy(), HERE), r -> {});
        none.subscription.request(1);
        assertThat(none.error).hasMessageContaining("the prompt has no tokens");
        Recorder zero = subscribe(publisher(3, HERE), r -> {});
        zero.subscription.request(0);
        assertThat(zero.error).hasMessageContaining("0 tokens, must be positive");
        Recorder foreign = subscribe(generator.publisher(new int[] {1, 1 << 20}, 3, Sampling.greedy(), HERE), r -> {});
        foreign.subscription.request(1);
        assertThat(foreign.error).hasMessageContaining("1048576");
        Recorder rejected = subscribe(
                publisher(3, task -> {
                    throw new RejectedExecutionException("closed");
                }),
                r -> {});
        rejected.subscription.request(1);
        assertThat(rejected.error).isInstanceOf(RejectedExecutionException.class);
        Recorder broken = subscribe(publisher(3, HERE), r -> {
            throw new IllegalStateException("of the subscriber");
        });
        broken.subscription.request(3);
        assertThat(broken.tokens).hasSize(1);
        TokenPublisher shared = publisher(3, HERE);
        Recorder first = subscribe(shared, r -> {});
        assertThat(subscribe(shared, r -> {}).error).hasMessageContaining("another subscriber");
        first.subscription.request(3);
        assertThat(first.completed).isTrue();
        Recorder nothing = subscribe(publisher(0, HERE), r -> {});
        nothing.subscription.request(1);
        assertThat(nothing.completed).isTrue();
        assertThatThrownBy(() -> shared.subscribe(null)).isInstanceOf(NullPointerException.class);
        assertThat(context.memory(Memory.ACTIVATION)).isEqualTo(before);
    }
}
