package io.graft.binding;

import org.bytedeco.javacpp.annotation.Platform;
import org.bytedeco.javacpp.annotation.Properties;
import org.bytedeco.javacpp.tools.Info;
import org.bytedeco.javacpp.tools.InfoMap;
import org.bytedeco.javacpp.tools.InfoMapper;

/**
 * What the JavaCPP parser needs to know about the C headers. The build compiles this class first, lets the parser write
 * {@link Native} and the pointer classes {@code graft_*} from {@code native/include}, and then compiles the rest. So
 * nothing here may refer to generated code. {@code Native} extends this class.
 */
@Properties(
        value =
                @Platform(
                        include = {
                            "graft/status.h",
                            "graft/context.h",
                            "graft/device.h",
                            "graft/tensor.h",
                            "graft/weight.h",
                            "graft/graph.h",
                            "graft/ops/activation.h",
                            "graft/ops/adamw.h",
                            "graft/ops/attention.h",
                            "graft/ops/block_diagonal.h",
                            "graft/ops/cayley.h",
                            "graft/ops/circulant.h",
                            "graft/ops/dora.h",
                            "graft/ops/embedding.h",
                            "graft/ops/fourier.h",
                            "graft/ops/gelu.h",
                            "graft/ops/group_sum.h",
                            "graft/ops/hira.h",
                            "graft/ops/hard_concrete.h",
                            "graft/ops/ia3.h",
                            "graft/ops/khatri_rao.h",
                            "graft/ops/kronecker.h",
                            "graft/ops/layer_norm.h",
                            "graft/ops/linear.h",
                            "graft/ops/linear_cross_entropy.h",
                            "graft/ops/lora.h",
                            "graft/ops/lora_segments.h",
                            "graft/ops/mixture.h",
                            "graft/ops/nf4.h",
                            "graft/ops/random.h",
                            "graft/ops/paca.h",
                            "graft/ops/rms_norm.h",
                            "graft/ops/rope.h",
                            "graft/ops/row_scale.h",
                            "graft/ops/rows.h",
                            "graft/ops/sketch.h",
                            "graft/ops/sketch_compress.h",
                            "graft/ops/sparse.h",
                            "graft/ops/swiglu.h",
                            "graft/ops/tensor_copy.h"
                        },
                        // why: libgraft needs these two; they come from oneDNN's own jar and must be in the process
                        // before libgraft, so that the loader of the system finds them by name.
                        preload = {"gomp@.1", "dnnl@.3"},
                        preloadresource = "/org/bytedeco/dnnl/",
                        link = "graft",
                        library = "jnigraft"),
        target = "io.graft.binding",
        global = "io.graft.binding.Native")
public class GraftConfig implements InfoMapper {
    @Override
    public void map(InfoMap info) {
        info.put(new Info("GRAFT_API").cppTypes().annotations());
        info.put(new Info("defined(GRAFT_BUILD)").define(false));
        info.put(new Info("graft_context").pointerTypes("graft_context"));
        info.put(new Info("graft_graph").pointerTypes("graft_graph"));
    }
}
