package io.graft.adapter;

import io.graft.io.TensorSource;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/**
 * LoRA factors of modules that a model's checkpoint has and Graft does not compute, with a B of zeros: without effect, and so
 * nothing that is left out. PEFT writes them where a name of the targets is one of a vision tower's layers too, and the
 * adapter was trained on text.
 */
final class IdleFactors {
    private static final String A = ".lora_A.weight";
    private static final String B = ".lora_B.weight";

    private IdleFactors() {}

    /**
     * Those among tensors of an adapter's file.
     *
     * @param unused the modules that are not computed
     */
    static Set<String> among(Set<String> tensors, List<String> unused, TensorSource file, Context context) {
        Set<String> idle = new TreeSet<>();
        for (String module : unused) {
            for (String tensor : tensors) {
                if (tensor.startsWith(PeftAdapter.PREFIX + module + ".")
                        && tensor.endsWith(B)
                        && isZero(tensor, file, context)) {
                    idle.add(tensor);
                    idle.add(tensor.substring(0, tensor.length() - B.length()) + A);
                }
            }
        }
        return idle;
    }

    private static boolean isZero(String name, TensorSource file, Context context) {
        try (Scope scope = context.host().scope()) {
            Tensor values = scope.tensor(Memory.WORKSPACE, DType.F32, file.shape(name));
            file.read(name, values);
            for (float value : values.floats()) {
                if (value != 0) {
                    return false;
                }
            }
            return true;
        }
    }
}
