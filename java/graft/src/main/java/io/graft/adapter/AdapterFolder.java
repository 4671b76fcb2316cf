package io.graft.adapter;

import static java.util.Map.entry;

import io.graft.io.FormatException;
import io.graft.io.PeftConfig;
import io.graft.io.PeftQaLoraConfig;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeSet;
import java.util.function.Function;

/** Whatever adapter a directory holds, by the {@code peft_type} in its {@code adapter_config.json}. */
public final class AdapterFolder {
    private record Kind(Function<Path, Adapter> load, Function<Path, Adapter> frozen) {}

    private static final Kind QA_LORA = new Kind(QaLora::load, QaLora::frozen);

    private static final Map<String, Kind> KINDS = Map.ofEntries(
            entry("ADALORA", new Kind(AdaLora::load, AdaLora::frozen)),
            entry("ADAPTER_FUSION", new Kind(AdapterFusion::load, AdapterFusion::frozen)),
            entry("ADAPTION_PROMPT", new Kind(AdaptionPrompt::load, AdaptionPrompt::frozen)),
            entry("BITFIT", new Kind(BitFit::load, BitFit::frozen)),
            entry("BOFT", new Kind(Boft::load, Boft::frozen)),
            entry("BOTTLENECK", new Kind(Bottleneck::load, Bottleneck::frozen)),
            entry("C3A", new Kind(C3a::load, C3a::frozen)),
            entry("CAPABOOST", new Kind(CapaBoost::load, CapaBoost::frozen)),
            entry("COMBINED", new Kind(AdapterFolder::loadParts, AdapterFolder::frozenParts)),
            entry("COMPACTER", new Kind(Compacter::load, Compacter::frozen)),
            entry("DEPT", new Kind(Dept::load, Dept::frozen)),
            entry("FOURIERFT", new Kind(FourierFt::load, FourierFt::frozen)),
            entry("GLORA", new Kind(Glora::load, Glora::frozen)),
            entry("HIRA", new Kind(Hira::load, Hira::frozen)),
            entry("HIWI", new Kind(Hiwi::load, Hiwi::frozen)),
            entry("IA3", new Kind(Ia3::load, Ia3::frozen)),
            entry("INTRINSIC_SAID", new Kind(Said::load, Said::frozen)),
            entry("KADAPTATION", new Kind(KAdaptation::load, KAdaptation::frozen)),
            entry("LN_TUNING", new Kind(LnTuning::load, LnTuning::frozen)),
            entry("LOHA", new Kind(Loha::load, Loha::frozen)),
            entry("LOKR", new Kind(Lokr::load, Lokr::frozen)),
            entry("LORA", new Kind(Lora::load, Lora::frozen)),
            entry("LST", new Kind(Lst::load, Lst::frozen)),
            entry("MISS", new Kind(Miss::load, Miss::frozen)),
            entry("MOE_LORA", new Kind(MoeLora::load, MoeLora::frozen)),
            entry("MOV", new Kind(Mov::load, Mov::frozen)),
            entry("OFT", new Kind(Oft::load, Oft::frozen)),
            entry("PACA", new Kind(Paca::load, Paca::frozen)),
            entry("PEQA", new Kind(Peqa::load, Peqa::frozen)),
            entry("PREFIX_PROPAGATION", new Kind(PrefixPropagation::load, PrefixPropagation::frozen)),
            entry("PREFIX_TUNING", new Kind(PrefixTuning::load, PrefixTuning::frozen)),
            entry("PROMPT_TUNING", new Kind(PromptTuning::load, PromptTuning::frozen)),
            entry("P_TUNING", new Kind(PTuning::load, PTuning::frozen)),
            entry("ROWS", new Kind(Rows::load, Rows::frozen)),
            entry("SHIRA", new Kind(Shira::load, Shira::frozen)),
            entry("SKETCHTUNE", new Kind(SketchTune::load, SketchTune::frozen)),
            entry("SMOP", new Kind(Smop::load, Smop::frozen)),
            entry("SSF", new Kind(Ssf::load, Ssf::frozen)),
            entry("VERA", new Kind(Vera::load, Vera::frozen)));

    private AdapterFolder() {}

    /**
     * An adapter to be trained further.
     *
     * @throws FormatException if the directory has no configuration of a kind that Graft knows
     */
    public static Adapter load(Path directory) {
        return kind(directory).load().apply(directory);
    }

    /** As {@link #load}, without gradients. */
    public static Adapter frozen(Path directory) {
        return kind(directory).frozen().apply(directory);
    }

    private static Kind kind(Path directory) {
        Path file = directory.resolve(PeftConfig.FILE);
        String type = PeftConfig.type(file);
        Kind kind = KINDS.get(type);
        if (kind == null) {
            throw new FormatException(
                    file, "peft_type '" + type + "' is not supported, known: " + new TreeSet<>(KINDS.keySet()));
        }
        return type.equals("LORA") && PeftQaLoraConfig.describes(directory) ? QA_LORA : kind;
    }

    private static Adapter loadParts(Path directory) {
        return Combined.load(directory, AdapterFolder::load);
    }

    private static Adapter frozenParts(Path directory) {
        return Combined.load(directory, AdapterFolder::frozen);
    }
}
