package io.graft.ops;

import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** Every op: its name in the native registry, and the Java method that calls it. */
final class OpCatalog {
    static final Path ROOT = Path.of("..", "..");

    private static final List<Class<?>> CLASSES = List.of(
            Activation.class,
            AdamWStep.class,
            Attention.class,
            BlockDiagonal.class,
            Cayley.class,
            Circulant.class,
            Dora.class,
            Embedding.class,
            Fourier.class,
            Gelu.class,
            GroupSum.class,
            Hira.class,
            HardConcrete.class,
            Ia3.class,
            KhatriRao.class,
            Kronecker.class,
            LayerNorm.class,
            Linear.class,
            LinearCrossEntropy.class,
            LoraLinear.class,
            LoraSegments.class,
            Mixture.class,
            Nf4.class,
            Paca.class,
            Random.class,
            RmsNorm.class,
            Rope.class,
            RowScale.class,
            Rows.class,
            Sketch.class,
            SketchCompress.class,
            Sparse.class,
            SwiGlu.class,
            TensorOps.class);

    private OpCatalog() {}

    /** A Java method of an op; the text is for the names of tests. */
    record Op(Method method) {
        void call(Object... arguments) throws Throwable {
            try {
                method.invoke(null, arguments);
            } catch (InvocationTargetException e) {
                throw e.getCause();
            }
        }

        /** The C function, read from the source of the Java method: the only call in it. */
        String function() throws IOException {
            Path source = Path.of(
                    "src/main/java", method.getDeclaringClass().getName().replace('.', '/') + ".java");
            Matcher body = Pattern.compile(
                            "void " + method.getName() + "\\(.*?Status\\.check\\(\\s*(graft_\\w+)", Pattern.DOTALL)
                    .matcher(Files.readString(source));
            if (!body.find()) {
                throw new IllegalStateException("no C call in " + this);
            }
            return body.group(1);
        }

        @Override
        public String toString() {
            return method.getDeclaringClass().getSimpleName() + "." + method.getName();
        }
    }

    static List<Op> all() {
        return CLASSES.stream()
                .flatMap(type -> Arrays.stream(type.getDeclaredMethods()))
                .filter(method -> Modifier.isPublic(method.getModifiers()))
                .map(Op::new)
                .sorted((a, b) -> a.toString().compareTo(b.toString()))
                .toList();
    }

    /** Names of the ops in the native registry. */
    static List<String> registered() throws IOException {
        List<String> names = new ArrayList<>();
        try (Stream<String> lines = Files.lines(ROOT.resolve("native/src/ops/ops.def"))) {
            lines.forEach(line -> {
                Matcher op = Pattern.compile("^GRAFT_OP\\((\\w+),").matcher(line);
                if (op.find()) {
                    names.add(op.group(1));
                }
            });
        }
        return names;
    }
}
