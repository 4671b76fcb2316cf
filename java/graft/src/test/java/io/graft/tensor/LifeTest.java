package io.graft.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.binding.GraftArgumentException;
import io.graft.binding.Native;
import io.graft.binding.graft_tensor;
import io.graft.ops.TensorOps;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import java.util.logging.SimpleFormatter;
import org.bytedeco.javacpp.Pointer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Contexts and scopes: counting, closing, and what happens to those who do not close. */
class LifeTest {
    @Test
    void handlesAndBytesAreCounted() {
        long before = Context.liveHandles();
        try (Context context = Context.cpu(2)) {
            assertThat(context.threads()).isEqualTo(2);
            assertThat(Context.liveHandles()).isEqualTo(before + 1);
            try (Scope scope = context.scope()) {
                scope.tensor(Memory.GRADIENT, DType.F32, 1024);
                scope.weight(Memory.BASE, DType.BF16, 64, 32, 0);
                assertThat(Context.liveHandles()).isEqualTo(before + 3);
                assertThat(context.memory(Memory.GRADIENT)).isEqualTo(4096);
                assertThat(context.memory(Memory.BASE)).isGreaterThanOrEqualTo(4096);
                assertThat(context.memory()).isGreaterThanOrEqualTo(8192);
            }
            assertThat(context.memory(Memory.GRADIENT)).isZero();
            assertThat(context.peakMemory(Memory.GRADIENT)).isEqualTo(4096);
            assertThat(context.peakMemory()).isGreaterThanOrEqualTo(8192);
            context.resetPeak();
            assertThat(context.peakMemory(Memory.GRADIENT)).isZero();
        }
        assertThat(Context.liveHandles()).isEqualTo(before);
    }

    @Test
    void theCpuHasNoStreams() {
        assertThatThrownBy(() -> Context.inStream(Device.CPU, 1)).hasMessage("inStream: the CPU has no streams");
    }

    /** The C interface would take NULL for a stream of the context's own, whose work waits for nobody's. */
    @Test
    void theDefaultStreamIsNoStreamOfItsOwn() {
        assertThat(Context.handle(0)).as("cudaStreamLegacy").isEqualTo(1);
        for (long stream : new long[] {1, 0x7f0012345678L}) {
            assertThat(Context.handle(stream)).isEqualTo(stream);
        }
    }

    @Test
    void closingAContextClosesAllBelowIt() {
        Context context = Context.cpu(1);
        Scope scope = context.scope();
        Tensor outer = scope.tensor(Memory.ACTIVATION, DType.F32, 2);
        Tensor inner = scope.scope().tensor(Memory.ACTIVATION, DType.F32, 3);
        context.close();
        context.close();
        assertThat(outer.isClosed()).isTrue();
        assertThat(inner.isClosed()).isTrue();
        assertThatThrownBy(context::scope).hasMessage("Context is closed");
        assertThatThrownBy(context::memory).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(context::lastDispatch).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(scope::scope).hasMessage("Scope is closed");
        assertThatThrownBy(() -> scope.tensor(Memory.BASE, DType.F32, 1)).isInstanceOf(IllegalStateException.class);
        scope.close();
    }

    @Test
    void childrenCloseNewestFirst() {
        List<String> order = new ArrayList<>();
        Children children = new Children();
        children.add(() -> order.add("oldest"));
        AutoCloseable early = () -> order.add("early");
        children.add(early);
        children.add(() -> order.add("newest"));
        children.remove(early);
        children.close();
        assertThat(order).containsExactly("newest", "oldest");
    }

    @Test
    void aFailureDoesNotStopTheClosingOfTheRest() {
        List<String> order = new ArrayList<>();
        Children children = new Children();
        children.add(() -> order.add("oldest"));
        children.add(() -> {
            throw new IllegalStateException("second");
        });
        children.add(() -> {
            throw new IllegalStateException("first");
        });
        assertThatThrownBy(children::close)
                .hasMessage("first")
                .satisfies(e -> assertThat(e.getSuppressed()).hasSize(1));
        assertThat(order).containsExactly("oldest");
    }

    @Test
    void aContextWithUnknownHandlesRefusesToCloseAndStaysUsable() {
        Context context = Context.cpu(1);
        graft_tensor stray = new graft_tensor((Pointer) null);
        long[] shape = {1};
        Native.graft_tensor_create(
                context.pointer(), Native.GRAFT_MEMORY_BASE, Native.GRAFT_DTYPE_F32, 1, shape, null, stray);
        assertThatThrownBy(context::close)
                .isInstanceOf(GraftArgumentException.class)
                .hasMessageStartingWith("graft_context_destroy: 1 ");
        assertThat(context.memory(Memory.BASE)).isEqualTo(4);
        Native.graft_tensor_destroy(context.pointer(), stray);
        context.close();
    }

    /** The host of a device's context lives as long as that does, so also when it refuses to go. */
    @Test
    void aContextThatRefusesToCloseKeepsItsHost() {
        Context context = Context.planning(Device.cuda(0), 1);
        Context host = context.host();
        graft_tensor stray = new graft_tensor((Pointer) null);
        long[] shape = {1};
        Native.graft_tensor_create(
                context.pointer(), Native.GRAFT_MEMORY_BASE, Native.GRAFT_DTYPE_F32, 1, shape, null, stray);
        assertThatThrownBy(context::close).hasMessageStartingWith("graft_context_destroy: 1 ");
        assertThat(context.host()).isSameAs(host);
        assertThat(host.memory()).isZero();
        Native.graft_tensor_destroy(context.pointer(), stray);
        context.close();
        assertThatThrownBy(host::pointer).hasMessageContaining("closed");
    }

    @Test
    void weightsDescribeThemselves() {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope()) {
            Weight weight = scope.weight(Memory.BASE, DType.F32, 3, 4, 2);
            assertThat(weight.n()).isEqualTo(3);
            assertThat(weight.k()).isEqualTo(4);
            assertThat(weight.border()).isEqualTo(2);
            assertThat(weight.matrix().shape()).containsExactly(3, 4);
            assertThat(weight.matrix()).isSameAs(weight.matrix());
            assertThat(weight).hasToString("Weight [3, 4] F32");
            weight.close();
            weight.close();
            assertThatThrownBy(weight::matrix).hasMessage("Weight [3, 4] F32 is closed");
        }
    }

    @Test
    void aForgottenContextIsReported() throws InterruptedException {
        Logger logger = Logger.getLogger(LeakReport.class.getName());
        List<String> messages = new CopyOnWriteArrayList<>();
        Handler handler = new Handler() {
            @Override
            public void publish(LogRecord entry) {
                messages.add(new SimpleFormatter().formatMessage(entry));
            }

            @Override
            public void flush() {}

            @Override
            public void close() {}
        };
        logger.addHandler(handler);
        logger.setUseParentHandlers(false);
        try {
            LeakReport.watch(new Object(), "Thing");
            for (int i = 0; i < 100 && messages.isEmpty(); i++) {
                System.gc();
                TimeUnit.MILLISECONDS.sleep(20);
            }
            assertThat(messages).singleElement().asString().startsWith("Thing was never closed; made at ");
        } finally {
            logger.setUseParentHandlers(true);
            logger.removeHandler(handler);
        }
    }

    /** Threads use and close the same tensors at once: each call works or says that the tensor is closed. */
    @Test
    @Timeout(60)
    void closingDuringUseIsSafe() throws InterruptedException {
        List<Throwable> unexpected = new CopyOnWriteArrayList<>();
        try (Context context = Context.cpu(1)) {
            for (int round = 0; round < 50; round++) {
                Scope scope = context.scope();
                Tensor shared = scope.tensor(Memory.ACTIVATION, DType.F32, 256);
                List<Thread> threads = new ArrayList<>();
                for (int i = 0; i < 16; i++) {
                    boolean closes = i % 4 == 3;
                    threads.add(new Thread(() -> {
                        try {
                            for (int call = 0; call < 50; call++) {
                                TensorOps.fill(context, call, shared);
                                shared.floats();
                            }
                            if (closes) {
                                scope.close();
                            }
                        } catch (IllegalStateException expected) {
                            assertThat(expected).hasMessageEndingWith("is closed");
                        } catch (Throwable e) {
                            unexpected.add(e);
                        }
                    }));
                }
                threads.forEach(Thread::start);
                for (Thread thread : threads) {
                    thread.join();
                }
            }
        }
        assertThat(unexpected).isEmpty();
    }

    @Test
    void manyCyclesLeaveNothingBehind() {
        try (Context context = Context.cpu(1)) {
            for (int i = 0; i < 20_000; i++) {
                try (Scope scope = context.scope()) {
                    scope.tensor(Memory.ACTIVATION, DType.F32, 16, 16).rows(0, 4);
                }
            }
            assertThat(context.memory(Memory.ACTIVATION)).isZero();
        }
    }
}
