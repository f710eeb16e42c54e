"""Records of gradient methods, class activation maps and relevance propagation."""

from __future__ import annotations

from .record import MethodRecord

_OWN = "MIT"
_CAPTUM = "MIT (own code); gradients by captum, BSD-3-Clause"
_ZENNIT = "MIT (own code); rules by zennit, LGPL-3.0-or-later"
_FEATURES = "one cell of the recogniser's feature map (log-mel CNN: 128 mel bands x 15 ms)"
_LAYER = "one cell of the layer's map (cnn: 8 mel bands x 120 ms)"

RECORDS = [
    MethodRecord(
        name="saliency",
        target=".methods.gradient:Saliency",
        summary="magnitude of the gradient of the target's log-odds with respect to the features",
        version="1",
        licence=_CAPTUM,
        citation="Simonyan, Vedaldi & Zisserman 2014, Deep inside convolutional networks, arXiv 1312.6034, sec. 3",
        family="gradient",
        needs="gradient",
        cost="1",
        resolution=_FEATURES,
    ),
    MethodRecord(
        name="input-x-gradient",
        target=".methods.gradient:InputXGradient",
        summary="gradient times the feature's distance from silence",
        version="1",
        licence=_CAPTUM,
        citation="Shrikumar, Greenside, Shcherbina & Kundaje 2016, Not just a black box, arXiv 1605.01713; "
        "Kindermans, Schütt, Müller & Dähne 2016, arXiv 1611.07270",
        family="gradient",
        needs="gradient",
        cost="1",
        resolution=_FEATURES,
    ),
    MethodRecord(
        name="integrated-gradients",
        target=".methods.gradient:IntegratedGradients",
        summary="gradients along the straight path from silence to the features; sums to the change of log-odds",
        version="1",
        licence=_CAPTUM,
        citation="Sundararajan, Taly & Yan 2017, Axiomatic attribution for deep networks, ICML, arXiv 1703.01365",
        family="gradient",
        needs="gradient",
        cost="34",
        resolution=_FEATURES,
    ),
    MethodRecord(
        name="smoothgrad",
        target=".methods.gradient:SmoothGrad",
        summary="magnitude of the gradient averaged over 32 noisy copies of the features",
        version="1",
        licence=_CAPTUM,
        citation="Smilkov, Thorat, Kim, Viégas & Wattenberg 2017, SmoothGrad, arXiv 1706.03825, sec. 3",
        family="gradient",
        needs="gradient",
        cost="32",
        resolution=_FEATURES,
    ),
    MethodRecord(
        name="gradient-shap",
        target=".methods.gradient:GradientShap",
        summary="expected gradients: gradient times distance at random places between random baselines and the "
        "features",
        version="1",
        licence=_OWN,
        citation="Lundberg & Lee 2017, A unified approach to interpreting model predictions, NeurIPS, arXiv "
        "1705.07874; Erion, Janizek, Sturmfels, Lundberg & Lee 2021, Nature Machine Intelligence 3, doi "
        "10.1038/s42256-021-00343-w",
        family="gradient",
        needs="gradient",
        cost="36",
        resolution=_FEATURES,
    ),
    MethodRecord(
        name="guided-backprop",
        target=".methods.backprop:GuidedBackprop",
        summary="gradient that passes a ReLU only where it speaks for the target",
        version="1",
        licence=_CAPTUM,
        citation="Springenberg, Dosovitskiy, Brox & Riedmiller 2015, Striving for simplicity, arXiv 1412.6806, "
        "sec. 3.4",
        family="gradient",
        needs="features",
        cost="2",
        resolution=_FEATURES,
    ),
    MethodRecord(
        name="deeplift",
        target=".methods.backprop:DeepLift",
        summary="difference of the target's logit from that of silence, shared out by the rescale rule",
        version="1",
        licence=_CAPTUM,
        citation="Shrikumar, Greenside & Kundaje 2017, Learning important features through propagating activation "
        "differences, ICML, arXiv 1704.02685",
        family="gradient",
        needs="features",
        cost="5",
        resolution=_FEATURES,
    ),
    MethodRecord(
        name="gradcam",
        target=".methods.cam:GradCam",
        summary="channels of the last convolutional map, weighted by their mean gradient; signed",
        version="1",
        licence=_OWN,
        citation="Selvaraju, Cogswell, Das, Vedantam, Parikh & Batra 2017, Grad-CAM, ICCV, arXiv 1610.02391, eq. 1-2",
        family="gradient",
        needs="features",
        cost="2",
        resolution=_LAYER,
    ),
    MethodRecord(
        name="layercam",
        target=".methods.cam:LayerCam",
        summary="cells of the last convolutional map, each weighted by its positive gradient",
        version="1",
        licence=_OWN,
        citation="Jiang, Zhang, Hou, Cheng & Wei 2021, LayerCAM, IEEE Transactions on Image Processing 30, doi "
        "10.1109/TIP.2021.3089943, eq. 4",
        family="gradient",
        needs="features",
        cost="2",
        resolution=_LAYER,
    ),
    MethodRecord(
        name="lrp-epsilon-plus",
        target=".methods.relevance:LrpEpsilonPlus",
        summary="relevance of the target's logit by the z-plus rule in convolutions, the epsilon rule in linear layers",
        version="1",
        licence=_ZENNIT,
        citation="Bach, Binder, Montavon, Klauschen, Müller & Samek 2015, PLoS ONE 10(7), doi "
        "10.1371/journal.pone.0130140; Kohlbrenner, Bauer, Nakajima, Binder, Samek & Lapuschkin 2020, arXiv "
        "1910.09840",
        family="relevance",
        needs="features",
        cost="2",
        resolution=_FEATURES,
    ),
    MethodRecord(
        name="lrp-epsilon-plus-flat",
        target=".methods.relevance:LrpEpsilonPlusFlat",
        summary="as lrp-epsilon-plus, the flat rule in the first layer; the rules of the Beyond Saliency authors",
        version="1",
        licence=_ZENNIT,
        citation="Kohlbrenner, Bauer, Nakajima, Binder, Samek & Lapuschkin 2020, arXiv 1910.09840; Lapuschkin et "
        "al. 2019, Nature Communications 10, doi 10.1038/s41467-019-08987-4",
        family="relevance",
        needs="features",
        cost="2",
        resolution=_FEATURES,
    ),
    MethodRecord(
        name="lrp-gamma",
        target=".methods.relevance:LrpGamma",
        summary="relevance of the target's logit by the gamma rule in convolutions, the epsilon rule in linear layers",
        version="1",
        licence=_ZENNIT,
        citation="Montavon, Binder, Lapuschkin, Samek & Müller 2019, Layer-wise relevance propagation: an "
        "overview, LNCS 11700, doi 10.1007/978-3-030-28954-6_10",
        family="relevance",
        needs="features",
        cost="2",
        resolution=_FEATURES,
    ),
    MethodRecord(
        name="excitation-backprop",
        target=".methods.relevance:ExcitationBackprop",
        summary="probability that a winner-takes-all walk from the target ends in a cell",
        version="1",
        licence=_ZENNIT,
        citation="Zhang, Bargal, Lin, Brandt, Shen & Sclaroff 2018, Top-down neural attention by excitation "
        "backprop, IJCV 126, arXiv 1608.00507, eq. 5",
        family="relevance",
        needs="features",
        cost="2",
        resolution=_FEATURES,
    ),
    MethodRecord(
        name="crp",
        target=".methods.crp:Crp",
        summary="relevance that flows through the 8 most relevant channels of the last convolutional map, and a "
        "map of each",
        version="1",
        licence=_ZENNIT,
        citation="Achtibat, Dreyer, Eisenbraun, Bosse, Wiegand, Samek & Lapuschkin 2023, From attribution maps to "
        "human-understandable explanations through concept relevance propagation, Nature Machine Intelligence"
        " 5, arXiv 2206.03208",
        family="relevance",
        needs="features",
        cost="2",
        resolution=_FEATURES,
    ),
    MethodRecord(
        name="crp-paper",
        target=".methods.beyond_saliency_paper:CrpPaper",
        summary="relevance through channel 35 of layer1.conv1 by the rules of the Beyond Saliency authors' code",
        version="1",
        licence=_ZENNIT,
        citation="Nasr, Ren, Johnson (2025), Beyond saliency, arXiv 2511.11691 (released code)",
        family="relevance",
        needs="features",
        cost="2",
        resolution=_FEATURES,
    ),
]
