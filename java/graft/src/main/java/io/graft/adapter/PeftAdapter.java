package io.graft.adapter;

import io.graft.io.PeftConfig;
import io.graft.io.SafetensorsFile;
import io.graft.io.SafetensorsWriter;
import io.graft.nn.Adaptable;
import io.graft.nn.Attachment;
import io.graft.nn.Parameter;
import io.graft.nn.Precision;
import io.graft.nn.Projection;
import io.graft.nn.SharedBuffers;
import io.graft.nn.SharedGradients;
import io.graft.ops.Random;
import io.graft.ops.TensorOps;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * An adapter that PEFT configures and stores: the projections that its configuration selects get an attachment, the modules
 * of {@code modules_to_save} are trained whole, and a directory holds {@code adapter_config.json} beside the tensors.
 */
public abstract class PeftAdapter<C extends PeftConfig> implements Adapter {
    /** The file of an adapter's tensors. */
    public static final String FILE = "adapter_model.safetensors";

    static final String PREFIX = "base_model.model.";

    /** why: below the numbers that other uses of the same seed start with, so that A is not a copy of base weights. */
    static final long FIRST_OFFSET = 1L << 48;

    /**
     * Where an adapter's values come from.
     *
     * @param directory null for a fresh adapter
     * @param trained whether parameters have gradients
     * @param seed of a fresh adapter's random numbers
     */
    record Origin(Path directory, boolean trained, long seed) {
        static Origin fresh(long seed) {
            return new Origin(null, true, seed);
        }

        static Origin of(Path directory, boolean trained) {
            return new Origin(directory, trained, 0);
        }
    }

    final long seed;
    C config;
    private final Path source;
    private final boolean trained;
    private final List<Projection> attached = new ArrayList<>();
    private final List<Parameter> parameters = new ArrayList<>();
    private final Map<String, Tensor> constants = new LinkedHashMap<>();
    private final Set<String> transposed = new TreeSet<>();
    private SafetensorsFile file;
    private Set<String> unread = Set.of();
    private List<String> excluded = List.of();
    private boolean used;
    private long offset = FIRST_OFFSET;
    private SharedBuffers buffers;
    private SharedGradients gradients;

    PeftAdapter(C config, Origin origin) {
        this.config = config;
        this.source = origin.directory();
        this.trained = origin.trained();
        this.seed = origin.seed();
    }

    public final C config() {
        return config;
    }

    /** Makes the attachment of one projection, fresh or from the file. */
    abstract Attachment attachment(Scope scope, Projection projection);

    /** Whether the attachment of a module works over the codes of a quantised weight, without a dense one. */
    boolean servesCodes(String module) {
        return true;
    }

    /** Whether a parameter of the base is trained, and kept in the adapter's file. */
    boolean trainsBase(Parameter parameter) {
        return config.saves(module(parameter));
    }

    /** Makes what needs all attachments. */
    void attached() {}

    /** Makes what does not belong to one projection, fresh or from the file: before any attachment. */
    void attachFront(Adaptable model) {}

    @Override
    public final void attach(Adaptable model) {
        String name = getClass().getSimpleName();
        if (used) {
            throw new IllegalStateException(name + ".attach: already attached to a model");
        }
        used = true;
        refuseOthers(model);
        try (SafetensorsFile opened = source == null ? null : SafetensorsFile.open(source.resolve(FILE))) {
            file = opened;
            unread = opened == null ? Set.of() : new TreeSet<>(opened.names());
            if (opened == null) {
                excluded = model.unused();
            } else {
                unread.removeAll(IdleFactors.among(
                        unread, model.unused(), opened, model.scope().context()));
            }
            buffers = new SharedBuffers(model.scope());
            gradients = new SharedGradients(model.scope());
            attachFront(model);
            for (Projection projection : model.projections()) {
                if (config.targets(projection.module())) {
                    if (projection.weight().kind() != Weight.Kind.DENSE && !servesCodes(projection.module())) {
                        throw new IllegalArgumentException(name + ": " + projection.module() + " is "
                                + projection.weight().kind() + "; " + config + " needs a dense base");
                    }
                    projection.attach(attachment(model.scope(), projection));
                    attached.add(projection);
                }
            }
            for (Parameter parameter : model.parameters()) {
                if (trainsBase(parameter)) {
                    if (fromFile()) {
                        read(key(parameter), parameter.value());
                    }
                    train(model.scope(), parameter);
                }
            }
            if (model.whole() && !unread.isEmpty()) {
                throw new IllegalArgumentException(source.resolve(FILE) + ": this model has no place for "
                        + unread.iterator().next() + " (" + unread.size() + " such tensors)");
            }
        } finally {
            file = null;
        }
        if (model.whole() && attached.isEmpty() && parameters.isEmpty()) {
            throw new IllegalArgumentException(name + ": " + config + " targets no module of the model");
        }
        attached();
    }

    /** Drops all attachments with their parameters and makes others; null: the projection stays as it is in the base. */
    final void reattach(Function<Projection, Attachment> make) {
        List<Projection> before = List.copyOf(attached);
        attached.clear();
        parameters.removeIf(parameter -> parameter.name().startsWith(PREFIX));
        for (Projection projection : before) {
            projection.detach();
            Attachment part = make.apply(projection);
            if (part != null) {
                projection.attach(part);
                attached.add(projection);
            }
        }
    }

    private void refuseOthers(Adaptable model) {
        String name = getClass().getSimpleName();
        Set<String> projections = new TreeSet<>();
        for (Projection projection : model.projections()) {
            projections.add(projection.module());
            if (config.saves(projection.module())) {
                throw new IllegalArgumentException(name + ": modules_to_save " + projection.module()
                        + " is not supported; supported are embedding, head and norms");
            }
        }
        for (Parameter parameter : model.parameters()) {
            String module = module(parameter);
            if (!config.allLinear() && !projections.contains(module) && config.targets(module)) {
                throw new IllegalArgumentException(name + ": target " + module
                        + " is not supported; supported are the projections of attention and MLP");
            }
        }
    }

    /** Whether values come from a file; else they are to be initialised. Only while attaching. */
    final boolean fromFile() {
        return file != null;
    }

    final boolean inFile(String key) {
        return unread.contains(key);
    }

    final void read(String key, Tensor into) {
        file.read(key, into);
        unread.remove(key);
    }

    /** A parameter of the adapter: from the file, or what {@code fresh} makes of zeros. */
    final Parameter parameter(Scope scope, String key, Tensor zeros, Consumer<Tensor> fresh) {
        Parameter parameter = train(scope, new Parameter(key, zeros));
        if (fromFile()) {
            read(key, parameter.best());
        } else {
            fresh.accept(parameter.best());
        }
        parameter.refreshValue();
        return parameter;
    }

    /** What leaves a fresh parameter zero. */
    static void zero(Tensor value) {}

    static void ones(Tensor value) {
        TensorOps.fill(value.scope().context(), 1, value);
    }

    /** The next random numbers, in ±1/√inputs: Kaiming's bound for a = √5. */
    final Consumer<Tensor> kaiming(long inputs) {
        return value -> uniform(value, 1 / Math.sqrt(inputs));
    }

    final Consumer<Tensor> normal(double deviation) {
        return value -> normal(value, 0, deviation);
    }

    /** Fills with the next random numbers, in ±bound. */
    final void uniform(Tensor value, double bound) {
        Random.uniform(value.scope().context(), seed, skip(value), -bound, bound, value);
    }

    final void normal(Tensor value, double mean, double deviation) {
        Random.normal(value.scope().context(), seed, skip(value), mean, deviation, value);
    }

    /** Leaves out as many random numbers as a tensor has; the place of the first of them. */
    final long skip(Tensor value) {
        offset += value.elements();
        return offset - value.elements();
    }

    /** What attachments use in turn, from {@link #attachFront} on. */
    final SharedBuffers buffers() {
        return buffers;
    }

    @Override
    public final long memory() {
        return buffers.generation();
    }

    final SharedGradients gradients() {
        return gradients;
    }

    /** The shape of a tensor of the file. */
    final long[] shapeInFile(String key) {
        return file.shape(key);
    }

    /** Reads a matrix whose transpose the file holds. */
    final void readTransposed(String key, Tensor into) {
        try (Scope staging = into.scope().context().scope()) {
            Tensor stored = staging.tensor(Memory.WORKSPACE, into.dtype(), into.size(1), into.size(0));
            read(key, stored);
            TensorOps.transpose(into.scope().context(), stored, into);
        }
    }

    /** Makes {@link #save} write the parameter's transpose. */
    final Parameter storedTransposed(Parameter parameter) {
        transposed.add(key(parameter));
        return parameter;
    }

    /** A tensor of the adapter in the dtype of masters. */
    static Tensor wide(Scope scope, Projection projection, long rows, long columns) {
        return scope.tensor(Memory.ADAPTER, Precision.accumulator(projection.dtype()), rows, columns);
    }

    /** Counts the parameter as one of the adapter's, with a gradient where the adapter is trained. */
    final Parameter train(Scope scope, Parameter parameter) {
        Parameter counted = trained ? parameter.train(scope) : parameter;
        parameters.add(counted);
        return counted;
    }

    /** A tensor that is saved but not trained. */
    final void constant(String key, Tensor value) {
        constants.put(key, value);
    }

    static String module(Parameter parameter) {
        return parameter.name().substring(0, parameter.name().lastIndexOf('.'));
    }

    @Override
    public String key(Parameter parameter) {
        return parameter.name().startsWith(PREFIX) ? parameter.name() : PREFIX + parameter.name();
    }

    /** The projections that the adapter changed. */
    public final List<Projection> projections() {
        return List.copyOf(attached);
    }

    @Override
    public final List<Parameter> parameters() {
        return List.copyOf(parameters);
    }

    @Override
    public final boolean trained() {
        return trained;
    }

    @Override
    public boolean separable() {
        return true;
    }

    @Override
    public final Set<String> unread() {
        return Set.copyOf(unread);
    }

    @Override
    public void changed() {
        for (int i = 0; i < attached.size(); i++) {
            attached.get(i).write();
        }
    }

    @Override
    public void merge() {
        if (!mergeable()) {
            throw new UnsupportedOperationException(getClass().getSimpleName()
                    + ".merge: what it does is in no weight; keep the adapter beside the model");
        }
        attached.forEach(Projection::merge);
        attached.clear();
        parameters.clear();
        constants.clear();
    }

    /** What {@link #save} writes, by key. */
    Map<String, Tensor> tensors() {
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        for (Parameter parameter : parameters) {
            tensors.put(key(parameter), parameter.best());
        }
        tensors.putAll(constants);
        return tensors;
    }

    /** Writes adapter_config.json and adapter_model.safetensors, as PEFT does. */
    @Override
    public void save(Path directory) {
        Map<String, Tensor> tensors = tensors();
        if (tensors.isEmpty() || transposed.isEmpty()) {
            write(directory, config, tensors);
            return;
        }
        try (Scope staging =
                tensors.values().iterator().next().scope().context().scope()) {
            tensors.replaceAll((key, tensor) -> transposed.contains(key) ? transpose(staging, tensor) : tensor);
            write(directory, config, tensors);
        }
    }

    private static Tensor transpose(Scope scope, Tensor matrix) {
        Tensor turned = scope.tensor(Memory.WORKSPACE, matrix.dtype(), matrix.size(1), matrix.size(0));
        TensorOps.transpose(scope.context(), matrix, turned);
        return turned;
    }

    /** @param written what the file says of the adapter, which is not always what it was made from */
    final void write(Path directory, PeftConfig written, Map<String, Tensor> tensors) {
        write(directory, written, excluded, tensors);
    }

    /** @param excluded modules of the base that the adapter leaves out; see {@link PeftConfig#write(Path, List)} */
    static void write(Path directory, PeftConfig config, List<String> excluded, Map<String, Tensor> tensors) {
        try {
            Files.createDirectories(directory);
        } catch (IOException e) {
            throw new UncheckedIOException("cannot make " + directory + ": " + e.getMessage(), e);
        }
        SafetensorsWriter.write(directory.resolve(FILE), tensors, SafetensorsWriter.PYTORCH);
        config.write(directory, excluded);
    }
}
