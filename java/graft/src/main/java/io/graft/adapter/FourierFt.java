package io.graft.adapter;

import io.graft.io.PeftFourierConfig;
import io.graft.nn.Attachment;
import io.graft.nn.Parameter;
import io.graft.nn.Precision;
import io.graft.nn.Projection;
import io.graft.nn.SparseSpectrum;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;

/**
 * FourierFT (arXiv 2405.03003), as PEFT configures and stores it: W plus the real part of the inverse Fourier transform of a
 * matrix that is zero but for {@code n_frequency} trained entries. Where they are is not in the file: PEFT draws it from a seed
 * by torch.randperm, which is done the same way here.
 */
public final class FourierFt extends PeftAdapter<PeftFourierConfig> {
    private FourierFt(PeftFourierConfig config, Origin origin) {
        super(config, origin);
    }

    /** A fresh adapter, to be trained. */
    public static FourierFt create(PeftFourierConfig config, long seed) {
        return new FourierFt(config, Origin.fresh(seed));
    }

    /** An adapter from a directory, to be trained further. */
    public static FourierFt load(Path directory) {
        return new FourierFt(PeftFourierConfig.read(directory), Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static FourierFt frozen(Path directory) {
        return new FourierFt(PeftFourierConfig.read(directory), Origin.of(directory, false));
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        String module = projection.module();
        String key = PREFIX + module + ".fourierft_spectrum";
        long inputs = projection.weight().k();
        long outputs = projection.weight().n();
        int count = config.frequencies(module);
        if (count > inputs * outputs) {
            throw new IllegalArgumentException("FourierFt: n_frequency is " + count + ", more than the "
                    + inputs * outputs + " weights of " + module);
        }
        Tensor spectrum = scope.tensor(Memory.ADAPTER, Precision.accumulator(projection.dtype()), count);
        Parameter trained = parameter(scope, key, spectrum, config.startsAtBase() ? PeftAdapter::zero : normal(1));
        long[] drawn = TorchPermutation.first(count, inputs * outputs, config.seed());
        int[] places = new int[2 * count];
        for (int l = 0; l < count; l++) {
            places[l] = (int) (drawn[l] / inputs);
            places[count + l] = (int) (drawn[l] % inputs);
        }
        Tensor at = scope.tensor(Memory.ADAPTER, DType.I32, 2, count).set(places);
        return new SparseSpectrum(trained, at, config.scaling());
    }
}
