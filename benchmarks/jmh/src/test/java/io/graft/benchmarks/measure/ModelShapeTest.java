package io.graft.benchmarks.measure;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ModelShapeTest {
    /** The published sizes of the linears. */
    @ParameterizedTest
    @CsvSource({
        "llama-3.2-1b,q_proj,2048,2048",
        "llama-3.2-1b,k_proj,512,2048",
        "llama-3.2-1b,down_proj,2048,8192",
        "llama-3-8b,q_proj,4096,4096",
        "llama-3-8b,v_proj,1024,4096",
        "llama-3-8b,gate_proj,14336,4096",
        "llama-3.1-70b,o_proj,8192,8192",
        "llama-3.1-70b,k_proj,1024,8192",
        "llama-3.1-70b,up_proj,28672,8192"
    })
    void layersHaveTheirPublishedSizes(String model, String layer, long n, long k) {
        assertThat(ModelShape.of(model).layer(layer)).isEqualTo(new ModelShape.Layer(n, k));
    }

    @Test
    void unknownNamesAreRefusedInWords() {
        assertThatThrownBy(() -> ModelShape.of("llama-9"))
                .hasMessageContaining("model is llama-9")
                .hasMessageContaining("llama-3-8b");
        assertThatThrownBy(() -> ModelShape.TINY.layer("lm_head")).hasMessageContaining("layer is lm_head");
    }
}
