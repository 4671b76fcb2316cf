package io.graft.cli.compare;

import io.graft.cli.Calibration;
import io.graft.cli.InputException;
import io.graft.cli.Machine;
import io.graft.cli.Method;
import io.graft.cli.MethodOptions;
import io.graft.cli.OpenModel;
import io.graft.cli.Units;
import io.graft.model.Llama;
import io.graft.tensor.Context;
import io.graft.tensor.Device;
import io.graft.train.BatchSource;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;

/** The contenders of a comparison, each with a copy of the same model; they close together. */
public final class Field implements AutoCloseable {
    /** why: activations, the process and others on the machine need room too. */
    private static final double SHARE_OF_MEMORY = 0.6;

    private final Supplier<Context> contexts;
    private final Opener opener;
    private final long seed;
    private final List<Contender> contenders = new ArrayList<>();
    private long bytes;

    /** Opens the model of the comparison once more. */
    @FunctionalInterface
    public interface Opener {
        OpenModel open(Context context, Llama.Options options);
    }

    public Field(Supplier<Context> contexts, Opener opener, long seed) {
        this.contexts = contexts;
        this.opener = opener;
        this.seed = seed;
    }

    /** Opens the model once more, for this method. */
    public void add(Method method, MethodOptions options, BatchSource source, long tokensPerStep) {
        Context context = contexts.get();
        try {
            Llama.Options training = Llama.Options.training(method.create(options, seed));
            OpenModel opened = opener.open(context, training);
            Calibration.run(opened.llama(), source, options.samples());
            contenders.add(
                    new Contender(method.title(), context, opened, source, tokensPerStep, method.learningRate(), seed));
        } catch (RuntimeException | Error failure) {
            context.close();
            throw failure;
        }
        bytes += context.memory();
        Device device = context.device();
        long all = device.isCpu() ? Machine.totalMemory() : device.properties().memoryBytes();
        if (bytes > SHARE_OF_MEMORY * all) {
            throw new InputException(contenders.size() + " copies of the model in training take "
                    + Units.bytes(bytes) + " of the " + Units.bytes(all) + " of "
                    + (device.isCpu() ? "this machine" : device) + "; compare fewer methods at once");
        }
    }

    public List<Contender> contenders() {
        return contenders;
    }

    @Override
    public void close() {
        contenders.forEach(Contender::close);
    }
}
