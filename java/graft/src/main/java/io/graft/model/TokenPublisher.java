package io.graft.model;

import java.util.Objects;
import java.util.concurrent.Executor;
import java.util.concurrent.Flow;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Supplier;

/**
 * The tokens of a generation for a subscriber, each made on an executor once it is asked for: no token is computed that nobody
 * requested, and the prompt is read with the first. Keys and values are freed before {@code onComplete} and {@code onError}, and
 * after {@code cancel} as soon as a token that is being made is done. Whatever goes wrong reaches {@code onError}.
 *
 * <p>Each subscriber gets a generation of its own, one after the other: a second one at the same time gets an error, since
 * nothing else may use the model meanwhile.
 */
public final class TokenPublisher implements Flow.Publisher<Integer> {
    private final Supplier<TokenStream> start;
    private final Executor executor;
    private final AtomicBoolean taken = new AtomicBoolean();

    TokenPublisher(Supplier<TokenStream> start, Executor executor) {
        this.start = start;
        this.executor = Objects.requireNonNull(executor, "executor");
    }

    @Override
    public void subscribe(Flow.Subscriber<? super Integer> subscriber) {
        Objects.requireNonNull(subscriber, "subscriber");
        boolean alone = taken.compareAndSet(false, true);
        Generation generation = new Generation(subscriber, alone);
        subscriber.onSubscribe(generation);
        if (!alone) {
            generation.fail(new IllegalStateException("TokenPublisher: another subscriber's generation has not ended"));
        }
    }

    /** One subscriber's tokens. Whoever raises {@code work} from zero runs {@link #run} until it is zero again. */
    private final class Generation implements Flow.Subscription, Runnable {
        private final Flow.Subscriber<? super Integer> subscriber;
        private final AtomicLong demand = new AtomicLong();
        private final AtomicInteger work = new AtomicInteger();
        private final boolean alone;
        private volatile boolean cancelled;
        private volatile Throwable failure;
        private TokenStream stream;
        private boolean ended;

        Generation(Flow.Subscriber<? super Integer> subscriber, boolean alone) {
            this.subscriber = subscriber;
            this.alone = alone;
        }

        @Override
        public void request(long count) {
            if (count <= 0) {
                fail(new IllegalArgumentException("request: " + count + " tokens, must be positive"));
                return;
            }
            demand.getAndUpdate(before -> before + count < 0 ? Long.MAX_VALUE : before + count);
            go();
        }

        @Override
        public void cancel() {
            cancelled = true;
            go();
        }

        void fail(Throwable cause) {
            failure = cause;
            go();
        }

        private void go() {
            if (work.getAndIncrement() > 0) {
                return;
            }
            try {
                executor.execute(this);
            } catch (RejectedExecutionException e) {
                failure = e;
                run();
            }
        }

        @Override
        public void run() {
            int seen = work.get();
            do {
                serve();
                seen = work.addAndGet(-seen);
            } while (seen > 0);
        }

        private void serve() {
            try {
                while (!ended) {
                    if (cancelled) {
                        end();
                    } else if (failure != null) {
                        end();
                        subscriber.onError(failure);
                    } else if (stream != null && !stream.hasNext()) {
                        end();
                        subscriber.onComplete();
                    } else if (demand.get() > 0) {
                        next();
                    } else {
                        return;
                    }
                }
            } catch (Throwable thrown) {
                // why: a subscriber that throws has broken its contract, and is told nothing more.
                cancelled = true;
                end();
            }
        }

        private void next() {
            int token;
            try {
                if (stream == null) {
                    stream = start.get();
                    if (!stream.hasNext()) {
                        return;
                    }
                }
                token = stream.nextInt();
            } catch (RuntimeException | Error e) {
                failure = e;
                return;
            }
            demand.updateAndGet(left -> left == Long.MAX_VALUE ? left : left - 1);
            subscriber.onNext(token);
        }

        private void end() {
            if (!ended) {
                ended = true;
                if (stream != null) {
                    stream.close();
                }
                if (alone) {
                    taken.set(false);
                }
            }
        }
    }
}
