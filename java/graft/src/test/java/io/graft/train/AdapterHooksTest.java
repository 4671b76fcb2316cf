package io.graft.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.graft.adapter.Adapter;
import io.graft.adapter.Combined;
import io.graft.adapter.Full;
import io.graft.adapter.OptimiserStep;
import io.graft.model.Golden;
import io.graft.model.Llama;
import io.graft.nn.Adaptable;
import io.graft.nn.Parameter;
import io.graft.tensor.Context;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the training loop tells an adapter, and when. */
class AdapterHooksTest {
    /** Trains one norm and writes down what it is told; its state is one number longer after each step. */
    private static final class Witness implements Adapter {
        private final Full whole;
        private final List<String> told = new ArrayList<>();
        private final List<OptimiserStep> steps = new ArrayList<>();
        private Scope scope;
        private Tensor history;

        Witness(String norm) {
            whole = new Full(norm::equals);
        }

        @Override
        public void attach(Adaptable model) {
            scope = model.scope();
            history = scope.tensor(Memory.OPTIMIZER, DType.F32, 1);
            whole.attach(model);
        }

        @Override
        public List<Parameter> parameters() {
            return whole.parameters();
        }

        @Override
        public void starting(long count) {
            told.add("starting " + count);
        }

        @Override
        public void stepped(OptimiserStep step) {
            told.add("stepped " + step.number());
            steps.add(step);
            float[] longer = new float[(int) step.number() + 1];
            System.arraycopy(history.floats(), 0, longer, 0, longer.length - 1);
            longer[longer.length - 1] =
                    step.moments().apply(parameters().get(0)).get(0).floats()[0];
            history = scope.tensor(Memory.OPTIMIZER, DType.F32, longer.length);
            history.set(longer);
        }

        @Override
        public Map<String, Tensor> state() {
            return Map.of("history", history);
        }

        @Override
        public void restoring(Function<String, long[]> shapes) {
            told.add("restoring");
            history = scope.tensor(Memory.OPTIMIZER, DType.F32, shapes.apply("history"));
        }

        @Override
        public void restored(long count) {
            told.add("restored " + count + " with " + history.size(0));
        }

        @Override
        public void changed() {}

        @Override
        public void merge() {}

        @Override
        public void save(Path directory) {}
    }

    private static Trainer trainer(Llama model, long steps) {
        return new Trainer(model, TrainerTest.options(steps), TrainerTest.source(2));
    }

    private static Llama model(Scope scope, Adapter adapter) {
        return Golden.load(scope, "llama_gqa", Llama.Options.training(adapter));
    }

    @Test
    void anAdapterFollowsTheSteps() {
        Witness witness = new Witness("model.norm.weight");
        try (Context context = Context.cpu(1);
                Scope scope = context.scope();
                Llama model = model(scope, witness);
                Trainer trainer = trainer(model, 3)) {
            trainer.step();
            trainer.plan(2);
            trainer.run();
            assertThat(witness.told).containsExactly("starting 3", "stepped 1", "starting 2", "stepped 2");
            Schedule schedule = TrainerTest.options(3).schedule();
            assertThat(witness.steps)
                    .extracting(OptimiserStep::rate)
                    .containsExactly(schedule.rate(0), schedule.rate(1));
            Parameter norm = witness.parameters().get(0);
            List<Tensor> moments = witness.steps.get(1).moments().apply(norm);
            float[] m = witness.history.floats();
            assertThat(moments)
                    .hasSize(2)
                    .allMatch(moment -> moment.elements() == norm.value().elements());
            assertThat(moments.get(0).floats()[0]).isEqualTo(m[2]).isNotZero();
            assertThat(moments.get(1).floats()[0]).isPositive();
            Parameter other = new Parameter("other", norm.value());
            assertThatThrownBy(() -> witness.steps.get(0).moments().apply(other))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("other (frozen) is none of its parameters");
        }
    }

    @Test
    void stateThatGrowsComesBack(@TempDir Path folder) {
        Path file = folder.resolve("run.safetensors");
        try (Context context = Context.cpu(1);
                Scope scope = context.scope()) {
            Map<String, Adapter> first = parts();
            Map<String, Adapter> second = parts();
            try (Llama model = model(scope, Combined.of(first));
                    Trainer trainer = trainer(model, 3);
                    Llama again = model(scope, Combined.of(second));
                    Trainer resumed = trainer(again, 4)) {
                trainer.run();
                trainer.save(file);
                resumed.resume(file);
                resumed.run();
                for (String name : first.keySet()) {
                    Witness witness = (Witness) second.get(name);
                    assertThat(witness.told)
                            .containsExactly("starting 4", "restoring", "restored 3 with 4", "stepped 4");
                    assertThat(witness.history.floats())
                            .startsWith(((Witness) first.get(name)).history.floats())
                            .hasSize(5);
                }
            }
        }
    }

    private static Map<String, Adapter> parts() {
        Map<String, Adapter> parts = new LinkedHashMap<>();
        parts.put("last", new Witness("model.norm.weight"));
        parts.put("first", new Witness("model.layers.0.input_layernorm.weight"));
        return parts;
    }
}
