package io.graft.adapter;

import io.graft.io.PeftCombinedConfig;
import io.graft.nn.Adaptable;
import io.graft.nn.Parameter;
import io.graft.nn.Prefix;
import io.graft.nn.Projection;
import io.graft.nn.Prompt;
import io.graft.nn.SideNetwork;
import io.graft.tensor.Tensor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.function.IntConsumer;

/**
 * Several adapters on one model, trained together, such as a prefix with parallel networks (MAM, arXiv 2110.04366,
 * section 4.6). Each changes other parts of the model than the rest: two on one projection are refused. In a file each
 * has a folder of its own, in its own layout.
 */
public final class Combined implements Adapter {
    private final Map<String, Adapter> parts;

    private Combined(Map<String, Adapter> parts) {
        this.parts = parts;
        if (parts.size() < 2) {
            throw new IllegalArgumentException("Combined: " + parts.keySet() + " are not several adapters");
        }
        only(Adapter::prompt, "prompts");
    }

    /** These adapters, by the name of the folder that each gets. */
    public static Combined of(Map<String, Adapter> parts) {
        return new Combined(new LinkedHashMap<>(parts));
    }

    /** The adapters in the folders of a directory, each read by {@code load}. */
    public static Combined load(Path directory, Function<Path, Adapter> load) {
        Map<String, Adapter> parts = new LinkedHashMap<>();
        for (String folder : PeftCombinedConfig.read(directory).folders()) {
            parts.put(folder, load.apply(directory.resolve(folder)));
        }
        return new Combined(parts);
    }

    @Override
    public int border(String module) {
        return parts.values().stream()
                .mapToInt(part -> part.border(module))
                .max()
                .orElse(0);
    }

    @Override
    public void quantized(Projection projection, Tensor matrix) {
        parts.values().forEach(part -> part.quantized(projection, matrix));
    }

    @Override
    public void attach(Adaptable model) {
        parts.values().forEach(part -> part.attach(model));
        only(Adapter::prompt, "prompts");
        only(Adapter::prefix, "prefixes");
        Set<String> names = new HashSet<>();
        for (Parameter parameter : parameters()) {
            if (!names.add(parameter.name())) {
                throw new IllegalArgumentException(
                        "Combined: two of " + parts.keySet() + " have a parameter " + parameter.name());
            }
        }
    }

    @Override
    public boolean needsCalibration() {
        return parts.values().stream().anyMatch(Adapter::needsCalibration);
    }

    @Override
    public boolean needsGradients() {
        return parts.values().stream().anyMatch(part -> part.needsCalibration() && part.needsGradients());
    }

    @Override
    public void calibrate(int examples, IntConsumer pass) {
        for (Adapter part : parts.values()) {
            if (part.needsCalibration()) {
                part.calibrate(examples, pass);
            }
        }
    }

    private <T> T only(Function<Adapter, T> kind, String what) {
        List<T> all = parts.values().stream().map(kind).filter(Objects::nonNull).toList();
        if (all.size() > 1) {
            throw new IllegalArgumentException("Combined: " + parts.keySet() + " have " + all.size() + " " + what);
        }
        return all.isEmpty() ? null : all.get(0);
    }

    @Override
    public Prompt prompt() {
        return only(Adapter::prompt, "prompts");
    }

    @Override
    public Prefix prefix() {
        return only(Adapter::prefix, "prefixes");
    }

    @Override
    public SideNetwork side() {
        return only(Adapter::side, "side networks");
    }

    @Override
    public List<Parameter> parameters() {
        List<Parameter> all = new ArrayList<>();
        parts.values().forEach(part -> all.addAll(part.parameters()));
        return all;
    }

    @Override
    public boolean trained() {
        return parts.values().stream().anyMatch(Adapter::trained);
    }

    @Override
    public String key(Parameter parameter) {
        return parts.values().stream()
                .filter(part -> part.parameters().contains(parameter))
                .findFirst()
                .map(part -> part.key(parameter))
                .orElseGet(parameter::name);
    }

    @Override
    public double regularise() {
        double sum = 0;
        for (Adapter part : parts.values()) {
            sum += part.regularise();
        }
        return sum;
    }

    @Override
    public boolean trainsWithoutGradients() {
        return parts.values().stream().allMatch(Adapter::trainsWithoutGradients);
    }

    @Override
    public boolean changesMoments() {
        return parts.values().stream().anyMatch(Adapter::changesMoments);
    }

    @Override
    public boolean repeats() {
        return parts.values().stream().allMatch(Adapter::repeats);
    }

    @Override
    public long memory() {
        return parts.values().stream().mapToLong(Adapter::memory).sum();
    }

    @Override
    public void starting(long steps) {
        parts.values().forEach(part -> part.starting(steps));
    }

    @Override
    public void stepped(OptimiserStep step) {
        parts.values().forEach(part -> part.stepped(step));
    }

    @Override
    public Recalibration recalibration() {
        return parts.values().stream()
                .map(Adapter::recalibration)
                .filter(Objects::nonNull)
                .findFirst()
                .orElse(null);
    }

    @Override
    public Map<String, Tensor> state() {
        Map<String, Tensor> state = new LinkedHashMap<>();
        parts.forEach((name, part) -> part.state().forEach((key, tensor) -> state.put(name + "/" + key, tensor)));
        return state;
    }

    @Override
    public void restoring(Function<String, long[]> shapes) {
        parts.forEach((name, part) -> part.restoring(key -> shapes.apply(name + "/" + key)));
    }

    @Override
    public void restored(long steps) {
        parts.values().forEach(part -> part.restored(steps));
    }

    @Override
    public void changed() {
        parts.values().forEach(Adapter::changed);
    }

    @Override
    public boolean removable() {
        return parts.values().stream().allMatch(Adapter::removable);
    }

    @Override
    public boolean mergeable() {
        return parts.values().stream().allMatch(Adapter::mergeable);
    }

    @Override
    public boolean separable() {
        return parts.values().stream().allMatch(Adapter::separable);
    }

    @Override
    public Set<String> unread() {
        Set<String> unread = new TreeSet<>();
        parts.forEach((folder, part) -> part.unread().forEach(name -> unread.add(folder + "/" + name)));
        return unread;
    }

    /** why the check first: nothing may have changed when a part has no weights to go into. */
    @Override
    public void merge() {
        parts.forEach((name, part) -> {
            if (!part.mergeable()) {
                throw new UnsupportedOperationException("merge: no weight can hold the adapter '" + name + "'");
            }
        });
        parts.values().forEach(Adapter::merge);
    }

    @Override
    public void save(Path directory) {
        parts.forEach((folder, part) -> part.save(directory.resolve(folder)));
        PeftCombinedConfig.of(List.copyOf(parts.keySet())).write(directory);
    }
}
