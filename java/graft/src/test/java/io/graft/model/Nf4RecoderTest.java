package io.graft.model;

import static org.assertj.core.api.Assertions.assertThat;

import io.graft.io.Checkpoint;
import io.graft.io.LlamaConfig;
import io.graft.io.ShardedWriter;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.ops.Nf4;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import java.nio.file.Path;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** NF4 in files is NF4 made while loading, bit by bit. */
class Nf4RecoderTest {
    @ParameterizedTest
    @CsvSource({"llama_gqa, F32", "llama_gqa, BF16", "llama_tied, F32"})
    void filesHoldTheCodesThatLoadingMakes(String name, DType dtype, @TempDir Path folder) {
        LlamaConfig config = LlamaConfig.read(Golden.model(name));
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                Checkpoint checkpoint = Checkpoint.open(Golden.model(name))) {
            boolean whole = new Nf4Recoder(scope, checkpoint, config, dtype)
                    .run(new ShardedWriter(folder, Recoder.shards(config)), (module, error) -> true);
            assertThat(whole).isTrue();
            Llama.Options inference = Llama.Options.inference();
            Llama made = Golden.load(scope, name, dtype, inference.withBase(Weight.Kind.NF4));
            try (Checkpoint coded = Checkpoint.open(folder)) {
                assertThat(LlamaConfig.read(folder)).isEqualTo(config);
                Llama read = Llama.load(scope, coded, config, dtype, inference);
                for (int i = 0; i < made.projections().size(); i++) {
                    Projection one = made.projections().get(i);
                    Projection other = read.projections().get(i);
                    assertThat(other.module()).isEqualTo(one.module());
                    assertThat(other.weight().codes().ints())
                            .containsExactly(one.weight().codes().ints());
                    assertThat(decoded(scope, other.weight())).containsExactly(decoded(scope, one.weight()));
                }
                for (Parameter parameter : made.parameters()) {
                    assertThat(read.parameter(parameter.name()).value().floats())
                            .as(parameter.name())
                            .containsExactly(parameter.value().floats());
                }
            }
        }
    }

    private static float[] decoded(Scope scope, Weight weight) {
        Tensor matrix = scope.tensor(Memory.WORKSPACE, DType.F32, weight.n(), weight.k());
        Nf4.dequantize(scope.context(), weight, matrix);
        return matrix.floats();
    }
}
