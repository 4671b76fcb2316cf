package io.graft.ops;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.binding.GraftArgumentException;
import io.graft.binding.GraftException;
import io.graft.ops.OpCatalog.Op;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Whatever is given to an op, the answer is a typed exception and never the death of the JVM. */
class ArgumentsTest {
    private static final int ROUNDS = 400;

    private Context context;
    private Scope scope;

    static List<Op> ops() {
        return OpCatalog.all();
    }

    @BeforeEach
    void open() {
        context = Context.cpu(1);
        scope = context.scope();
    }

    @AfterEach
    void close() {
        context.close();
    }

    @ParameterizedTest
    @MethodSource("ops")
    void nullsAreRefusedInTheNameOfTheFunction(Op op) throws Exception {
        assertThatThrownBy(() -> op.call(arguments(op, type -> null)))
                .isInstanceOf(GraftArgumentException.class)
                .hasMessageStartingWith(op.function() + ": ");
    }

    @ParameterizedTest
    @MethodSource("ops")
    void closedHandlesAreRefusedAtEveryPosition(Op op) {
        Tensor tensor = scope.tensor(Memory.ACTIVATION, DType.F32, 4, 8);
        Weight weight = scope.weight(Memory.BASE, DType.F32, 4, 8, 0);
        tensor.close();
        weight.close();
        Class<?>[] types = op.method().getParameterTypes();
        for (int i = 1; i < types.length; i++) {
            if (types[i].isPrimitive() || types[i].isEnum()) {
                continue;
            }
            Object[] arguments = arguments(op, type -> null);
            arguments[i] = handle(types[i], tensor, weight);
            assertThatThrownBy(() -> op.call(arguments))
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageMatching("(Tensor|Weight) \\[4, 8] F32 is closed");
        }
    }

    @ParameterizedTest
    @MethodSource("ops")
    void handlesOfAnotherContextAreRefused(Op op) {
        try (Context other = Context.cpu(1)) {
            Tensor tensor = other.scope().tensor(Memory.ACTIVATION, DType.F32, 4, 8);
            Weight weight = other.scope().weight(tensor);
            Object[] arguments = arguments(op, type -> handle(type, tensor, weight));
            assertThatThrownBy(() -> op.call(arguments))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("belongs to another context");
        }
    }

    @ParameterizedTest
    @MethodSource("ops")
    void aClosedContextIsRefused(Op op) {
        Object[] arguments = arguments(op, type -> null);
        context.close();
        assertThatThrownBy(() -> op.call(arguments)).hasMessage("Context is closed");
    }

    /** Tensors of random type, rank and small shape: most calls disagree in something, and some are legal. */
    @ParameterizedTest
    @MethodSource("ops")
    void arbitraryArgumentsAreServedOrRefusedByName(Op op) throws Throwable {
        java.util.Random random = new java.util.Random(op.toString().hashCode());
        String function = op.function();
        for (int round = 0; round < ROUNDS; round++) {
            try (Scope inner = scope.scope()) {
                Object[] arguments = arguments(op, type -> arbitrary(random, inner, type));
                for (int i = 1; i < arguments.length; i++) {
                    if (random.nextInt(4) == 0) {
                        arguments[i] = extreme(random, arguments[i]);
                    }
                }
                try {
                    op.call(arguments);
                } catch (GraftException refusal) {
                    assertThat(refusal).hasMessageStartingWith(function + ": ");
                }
            }
        }
    }

    /** This tensor or weight, or a table of one parameter with them. */
    private static Object handle(Class<?> type, Tensor tensor, Weight weight) {
        if (type != AdamWParameters.class) {
            return type == Tensor.class ? tensor : weight;
        }
        AdamWParameters table = new AdamWParameters(1);
        table.add(
                null,
                0.5,
                0.5,
                1,
                null,
                null,
                null,
                null,
                null,
                null,
                new AdamWParameters.Columns(weight, null, null, 1));
        return table;
    }

    private interface Handles {
        Object make(Class<?> type);
    }

    private Object[] arguments(Op op, Handles handles) {
        Class<?>[] types = op.method().getParameterTypes();
        Object[] arguments = new Object[types.length];
        arguments[0] = context;
        for (int i = 1; i < types.length; i++) {
            if (types[i] == double.class) {
                arguments[i] = 0.5;
            } else if (types[i] == long.class) {
                arguments[i] = 1L;
            } else if (types[i] == int.class) {
                arguments[i] = 1;
            } else if (types[i] == boolean.class) {
                arguments[i] = false;
            } else if (types[i].isEnum()) {
                arguments[i] = types[i].getEnumConstants()[0];
            } else {
                arguments[i] = handles.make(types[i]);
            }
        }
        return arguments;
    }

    private static Object arbitrary(java.util.Random random, Scope scope, Class<?> type) {
        DType[] dtypes = DType.values();
        if (type == Weight.class) {
            return scope.weight(Memory.BASE, dtypes[random.nextInt(4)], size(random), size(random), random.nextInt(3));
        }
        if (random.nextInt(8) == 0) {
            return null;
        }
        if (type == AdamWParameters.class) {
            return table(random, scope);
        }
        long[] shape = new long[1 + random.nextInt(4)];
        for (int i = 0; i < shape.length; i++) {
            shape[i] = size(random);
        }
        DType dtype = random.nextInt(2) == 0 ? DType.F32 : dtypes[random.nextInt(dtypes.length)];
        return scope.tensor(Memory.ACTIVATION, dtype, shape);
    }

    /** Mostly of one shape, with all parts or without some. */
    private static AdamWParameters table(java.util.Random random, Scope scope) {
        AdamWParameters table = new AdamWParameters(3);
        for (int i = random.nextInt(4); i > 0; i--) {
            Tensor[] of = new Tensor[9];
            for (int j = 0; j < of.length; j++) {
                of[j] = random.nextInt(2) == 0 ? null : (Tensor) arbitrary(random, scope, Tensor.class);
                if (j < 4 && random.nextInt(8) > 0) {
                    of[j] = scope.tensor(Memory.ACTIVATION, DType.F32, 4, 4);
                }
            }
            Weight w = random.nextInt(2) == 0 ? null : (Weight) arbitrary(random, scope, Weight.class);
            double rate = random.nextInt(8) == 0 ? Double.NaN : 0.5;
            AdamWParameters.Columns columns = w == null ? null : new AdamWParameters.Columns(w, of[7], of[8], rate);
            table.add(of[0], rate, 0.5, i, of[1], of[2], of[4], of[3], of[5], of[6], columns);
        }
        return table;
    }

    private static long size(java.util.Random random) {
        return random.nextInt(8) == 0 ? 0 : 4;
    }

    private static Object extreme(java.util.Random random, Object argument) {
        if (argument instanceof Double) {
            double[] values = {Double.NaN, Double.POSITIVE_INFINITY, -1, 0, 1e300, Double.MIN_VALUE};
            return values[random.nextInt(values.length)];
        }
        if (argument instanceof Long) {
            long[] values = {Long.MIN_VALUE, Long.MAX_VALUE, -1, 0, 1L << 40};
            return values[random.nextInt(values.length)];
        }
        if (argument instanceof Integer) {
            int[] values = {Integer.MIN_VALUE, Integer.MAX_VALUE, -1, 0};
            return values[random.nextInt(values.length)];
        }
        return argument;
    }
}
