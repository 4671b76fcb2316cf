package io.graft.adapter;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.io.LlamaConfig;
import io.graft.io.PeftPeqaConfig;
import io.graft.io.PeftQaLoraConfig;
import io.graft.model.Batch;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.nn.Adaptable;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Scope;
import io.graft.tensor.Weight;
import io.graft.tensor.WeightForm;
import io.graft.train.AdamW;
import java.nio.file.Path;
import java.util.List;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Adapters that the codes of a base take up, or are the scales of: QA-LoRA and PEQA. */
class CodedMergeTest {
    private static final List<String> OF_48_INPUTS =
            List.of("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj");

    /** An adapter whose dense base becomes sketches with tables of 4 columns. */
    private record OverSketches(Adapter adapter) implements Adapter {
        @Override
        public int border(String module) {
            return adapter.border(module);
        }

        @Override
        public WeightForm form(String module) {
            return module.endsWith("down_proj") ? null : WeightForm.sketch(4, 12);
        }

        @Override
        public void attach(Adaptable model) {
            adapter.attach(model);
        }

        @Override
        public List<Parameter> parameters() {
            return adapter.parameters();
        }

        @Override
        public void changed() {
            adapter.changed();
        }

        @Override
        public boolean mergesIntoCodes() {
            return adapter.mergesIntoCodes();
        }

        @Override
        public void merge() {
            adapter.merge();
        }

        @Override
        public void save(Path directory) {
            adapter.save(directory);
        }
    }

    private static Batch batch() {
        return Batch.of(1, 7, new int[] {1, 7, 3, 9, 4, 30, 11}, null);
    }

    private static Llama trained(Scope scope, Adapter adapter, Weight.Kind base) {
        Llama model = Golden.load(
                scope, "llama_gqa", DType.F32, Llama.Options.training(adapter).withBase(base));
        float before = model.loss(batch());
        try (AdamW optimiser = new AdamW(scope, model.trainable(), AdamW.Settings.defaults())) {
            for (int i = 0; i < 5; i++) {
                model.zeroGradients();
                model.lossAndGradients(batch());
                optimiser.step(0.02);
                model.parametersChanged();
            }
        }
        assertThat(model.loss(batch())).isLessThan(before - 0.1f);
        return model;
    }

    private static QaLora qaLora(int group) {
        return QaLora.create(PeftQaLoraConfig.of("", OF_48_INPUTS, 2, 4, group), 5);
    }

    @ParameterizedTest
    @ValueSource(ints = {4, 8})
    void tablesTakeUpWhatIsTheSameInAllTheirColumns(int group) {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                Llama model = trained(scope, new OverSketches(qaLora(group)), Weight.Kind.DENSE)) {
            assertThat(model.projections().get(0).weight().kind()).isEqualTo(Weight.Kind.SKETCH);
            float[] logits = model.logits(batch());
            model.merge();
            assertThat(model.projections()).allMatch(projection -> projection.attachment() == null);
            Golden.assertClose("logits", model.logits(batch()), logits, 2e-5);
        }
    }

    @Test
    void otherCodesDoNot() {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                Llama narrow = trained(scope, new OverSketches(qaLora(2)), Weight.Kind.DENSE);
                Llama nf4 = trained(scope, qaLora(4), Weight.Kind.NF4)) {
            assertThatThrownBy(narrow::merge)
                    .isInstanceOf(UnsupportedOperationException.class)
                    .hasMessageContaining("has 4 columns, which are not all in one group of 2");
            assertThatThrownBy(nf4::merge)
                    .isInstanceOf(UnsupportedOperationException.class)
                    .hasMessageContaining("NF4")
                    .hasMessageContaining("no zero points");
        }
    }

    @Test
    void groupsDivideTheInputs() {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope()) {
            assertThatThrownBy(() -> Golden.load(scope, "llama_gqa", Llama.Options.training(qaLora(5))))
                    .hasMessage("QaLora: groups of 5 do not divide the 48 inputs of model.layers.0.self_attn.q_proj");
        }
    }

    /** The base's tables times the scales: nothing is beside them, and a dense base becomes the same sketches again. */
    @Test
    void scalesOfTablesComeBack(@TempDir Path folder) {
        try (Context context = Context.cpu(2);
                Scope scope = context.scope();
                Llama tuned = trained(
                        scope, Peqa.create(PeftPeqaConfig.of("", LlamaConfig.PROJECTIONS, 3, 4)), Weight.Kind.DENSE)) {
            float after = tuned.loss(batch());
            tuned.adapter().save(folder);
            Projection first = tuned.projections().get(0);
            assertThat(tuned.trainable().get(0).value().shape())
                    .containsExactly(first.weight().n(), 4);
            try (Llama loaded = Golden.load(scope, "llama_gqa", Llama.Options.training(Peqa.load(folder)))) {
                assertThat(loaded.loss(batch())).isEqualTo(after);
                loaded.merge();
                assertThat(loaded.loss(batch())).isCloseTo(after, Offset.offset(0f));
            }
            try (Llama frozen = Golden.load(scope, "llama_gqa", Llama.Options.training(Peqa.frozen(folder)))) {
                assertThat(frozen.trainable()).isEmpty();
                assertThat(frozen.loss(batch())).isEqualTo(after);
            }
        }
    }

    @Test
    void scalesOfOtherCodesAreRefused(@TempDir Path folder) {
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                Llama tuned = Golden.load(
                        scope,
                        "llama_gqa",
                        Llama.Options.training(Peqa.create(PeftPeqaConfig.of("", List.of("q_proj"), 2, 2))))) {
            tuned.adapter().save(folder);
            PeftPeqaConfig.of("", List.of("q_proj"), 3, 2).write(folder);
            assertThatThrownBy(() -> Golden.load(scope, "llama_gqa", Llama.Options.training(Peqa.load(folder))))
                    .hasMessageContaining("has other codes than those that its scales were trained for");
            assertThatThrownBy(() -> Golden.load(
                            scope,
                            "llama_gqa",
                            Llama.Options.training(Peqa.create(PeftPeqaConfig.of("", List.of("q_proj"), 2, 2)))
                                    .withBase(Weight.Kind.NF4)))
                    .hasMessageContaining("q_proj");
        }
    }
}
