package io.graft.adapter;

import io.graft.Emulated;
import io.graft.tensor.Context;
import io.graft.tensor.Device;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Adapters whose change of a weight has a form of its own, on CUDA devices against PEFT. */
@Emulated
class CudaAdaptersTest {
    @ParameterizedTest
    @ValueSource(
            strings = {
                "loha",
                "lokr",
                "lokr_both",
                "hira",
                "glora",
                "oft",
                "oft_exact",
                "boft",
                "boft_blocks",
                "c3a",
                "fourierft"
            })
    void gradientsAndMergedWeightsEqualPeft(String method) {
        try (Context context = Context.on(Device.cuda(0))) {
            PeftGoldenTest.lossAndGradients(context, "llama_gqa", method);
            PeftGoldenTest.mergedWeights(context, "llama_gqa", method);
        }
    }
}
