"""Named protocols. Each is a claim: where it comes from, how to run it, what was published, what was measured here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dec.config import Run, from_dict, unknown
from dec.errors import UserError


@dataclass(frozen=True)
class Preset:
    """A protocol.

    Attributes:
      about: one line.
      source: where it comes from.
      command: how to run it.
      published: the figures of the source.
      measured: the figures measured with this package, on what, or "not yet run".
      run: the fields that differ from the defaults of `dec.config.Run`.
      notes: what a reader must know to compare.
    """

    about: str
    source: str
    command: str
    published: str
    measured: str
    run: dict[str, Any]
    notes: str = ""



def _phones(**network: Any) -> dict[str, Any]:
    return {
        "method": "ae+kmeans",
        "data": "phones",
        "n_clusters": 8,
        "options": {"restarts": 10},
        "features": {
            "drop": ["url", "image", "reviewUrl"],
            "id": "asin",
            "missing": "drop",
            "kinds": ["brand=category", "title=category", "rating=number", "totalReviews=number", "price=number",
                      "originalPrice=number"],
        },
        "model": {
            "scaling": "none",
            "network": {"hidden": [128, 16], "code_size": 3, **network},
            "pretraining": {"epochs": 1000, "validation": 0.2, "validation_seed": 5, "accuracy": True,
                            "optimizer": {"name": "rmsprop"}},
        },
    }


_IMDB = {
    "method": "ae+kmeans",
    "data": "imdb:train",
    "features": {"vocabulary": 5000},
    "model": {
        "scaling": "none",
        "batch_size": 32,
        "network": {"hidden": [1024, 512, 256], "code_size": 10},
        "pretraining": {"epochs": 25, "validation": 0.08},
    },
}

PRESETS = {
    "quick": Preset(
        about="small network, a minute for all of `make train` on two CPU cores",
        source="this package; no published counterpart",
        command="dec compare --preset quick --seeds 3",
        published="none",
        measured="see the README",
        run={
            "model": {
                "network": {"hidden": [128, 128, 512]},
                "pretraining": {"epochs": 60},
                "refinement": {"steps": 980},
            },
        },
    ),
    "small": Preset(
        about="all methods side by side on two CPU cores: a small network, everything else by default",
        source="this package; no published counterpart",
        command="dec compare --preset small --seeds 3 --methods kmeans ae+kmeans dec idec dcn vade",
        published="none",
        measured="the table in benchmarks/README.md",
        run={"model": {"network": {"hidden": [128, 128, 512]}}},
    ),
    "dec-keras-mnist": Preset(
        about="DEC on MNIST as DEC-keras runs it",
        source="Xifeng Guo, DEC-keras (DEC.py, datasets.py), the Keras re-implementation of Xie et al. 2016",
        command="dec compare --preset dec-keras-mnist --methods ae+kmeans dec idec --seeds 10",
        published="ACC, 10 trials: ae+kmeans 87.9 ± 3.8, dec 91.2 ± 4.7; DEC paper 84.3, IDEC paper 88.1",
        measured="ten seeds on an H200, ACC: ae+kmeans 89.2 ± 3.8, dec 93.0 ± 4.7, idec 91.6 ± 4.5",
        run={
            "data": "mnist",
            "n_clusters": 10,
            "model": {
                "scaling": "range",
                "network": {"initializer": "fan_in_uniform"},
                "pretraining": {"epochs": 300,
                                "optimizer": {"name": "sgd", "learning_rate": 1.0, "momentum": 0.9}},
                "refinement": {"steps": 20000, "refresh_every": 140, "tolerance": 0.001,
                               "optimizer": {"name": "sgd", "learning_rate": 0.01, "momentum": 0.9}},
            },
        },
        notes="Batches are drawn in a new order every epoch; DEC-keras refines over the rows in their fixed order.",
    ),
    "clustpy": Preset(
        about="DEC, IDEC, DCN on pendigits as ClustPy 0.0.3 runs them by default: its network, Adam, 100 + 150 epochs",
        source="ClustPy 0.0.3, clustpy.deep",
        command="dec compare --preset clustpy --methods ae+kmeans dec idec dcn --dec.target batch --idec.target batch "
                "--idec.gamma 0.00625 --dcn.lam 0.00625",
        published="none; measured with ClustPy: see benchmarks/README.md",
        measured="three seeds, ACC: ae+kmeans 76.4 ± 2.5, dec 76.6 ± 6.1, idec 79.2 ± 0.3, dcn 77.7 ± 2.0",
        run={
            "data": "pendigits", "n_clusters": 10,
            "model": {
                "scaling": "range",
                "network": {"activation": "leaky_relu", "initializer": "torch"},
                "pretraining": {"optimizer": {"name": "adam", "learning_rate": 0.001}},
                "refinement": {"steps": 6450, "tolerance": 0.0, "optimizer": {"name": "adam", "learning_rate": 0.0001}},
            },
        },
        notes="150 epochs of other data are other --steps: 1200 of digits, 5550 of usps. ClustPy weighs the "
              "clustering of IDEC and DCN by 0.1 beside a reconstruction summed over features: gamma and lam are "
              "0.1 / their number.",
    ),
    "mnist-notebook": Preset(
        about="k-means on the codes of a denoising autoencoder of MNIST, before and after fine-tuning without dropout",
        source="a public notebook on deep embedded clustering; its table is AMI/ARI in per cent",
        command="dec train ae+kmeans --preset mnist-notebook --sweep finetune-epochs=0,100",
        published="AMI/ARI: k-means on pixels 49.1/36.1, pretrained 51.9/41.6, fine-tuned 68.7/62.2",
        measured="seed 0, AMI/ARI: k-means on pixels 50.0/36.5, pretrained 42.2/21.6, fine-tuned 62.8/49.8",
        run={
            "data": "mnist",
            "n_clusters": 10,
            "model": {
                "scaling": "symmetric",
                "pretraining": {"epochs": 300, "dropout": 0.2, "finetune_epochs": 100, "keep_best": True,
                                "optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9, "schedule": "step",
                                              "decay": 0.1, "decay_every": 100}},
            },
        },
        notes="Dropout takes units of the 10-wide code too, which costs much: without that, AMI/ARI was 38.4/26.8 "
              "instead of 28.9/17.1 on 10,000 rows and 40 epochs (one seed each). Two quirks of the notebook are "
              "variants here. It reports improvement as (new - old) / new; this package "
              "divides by old. It encodes unscaled pixels (0 to 255) with the network trained on [-1, 1]: for that, "
              "dec train ae+kmeans --data mnist --warm-start RUN --scaling none --pretraining.epochs 0.",
    ),
    "mnist-script": Preset(
        about="a shallow 784-32-784 autoencoder, five epochs, k-means on the test codes",
        source="the introductory Keras autoencoder script; NMI is printed, not published",
        command="dec train ae+kmeans --preset mnist-script",
        published="loss .2743 -> .1191, validation .1857 -> .1139 (first and last of 5 epochs)",
        measured="3 seeds: loss .276 -> .118, validation .188 -> .113; k-means on the codes NMI 41.2 ± 1.8",
        run={
            "data": "mnist:test",
            "pretrain_on": "mnist:train",
            "n_clusters": 10,
            "model": {
                "scaling": "range",
                "network": {"hidden": [], "code_size": 32, "code_activation": "relu", "output": "sigmoid"},
                "pretraining": {"epochs": 5},
            },
        },
    ),
    "dec-da-mnist": Preset(
        about="IDEC with convolutions on augmented images, as DEC-DA",
        source="Guo, Zhu, Liu, Yin: Deep Embedded Clustering with Data Augmentation. ACML 2018",
        command="dec train idec --preset dec-da-mnist --seeds 10",
        published="ACC 98.5 (ConvDEC-DA; 98.7 on USPS)",
        measured="not yet run",
        run={
            "method": "idec", "data": "mnist", "n_clusters": 10,
            "model": {
                "scaling": "range",
                "network": {"layers": "conv"},
                "augmentation": {"shift": 0.1, "rotation": 10.0},
                "pretraining": {"epochs": 500},
                "refinement": {"steps": 20000, "refresh_every": 140, "optimizer": {"name": "adam",
                                                                                   "learning_rate": 0.001}},
            },
        },
        notes="For an accelerator. Augmentation is prior knowledge: its figures stand beside others that have it.",
    ),
    "dcn-brb-mnist": Preset(
        about="DCN with soft resets and reclustering, on augmented images",
        source="Miklautz et al.: Breaking the Reclustering Barrier in Centroid-based Deep Clustering. ICLR 2025",
        command="dec train dcn --preset dcn-brb-mnist --seeds 10",
        published="ACC 96.4 ± 0.1, ten seeds",
        measured="not yet run",
        run={
            "method": "dcn", "data": "mnist", "n_clusters": 10, "options": {"brb_every": 20, "brb_keep": 0.8},
            "model": {
                "scaling": "range",
                "batch_size": 512,
                "augmentation": {"shift": 0.1, "rotation": 10.0},
                "pretraining": {"epochs": 250},
                "refinement": {"steps": 54800, "optimizer": {"name": "adam", "learning_rate": 0.001}},
            },
        },
        notes="For an accelerator: 400 epochs of clustering. The authors augment by an invariance loss of their own.",
    ),
    "vade-mnist": Preset(
        about="VaDE with Bernoulli pixels",
        source="Jiang, Zheng, Tan, Tang, Zhou: Variational Deep Embedding. IJCAI 2017",
        command="dec train vade --preset vade-mnist --seeds 10",
        published="ACC 94.5, the best of several runs; 71.6 ± 4.4 over 20 seeds by others",
        measured="not yet run",
        run={
            "method": "vade", "data": "mnist", "n_clusters": 10,
            "model": {
                "scaling": "range",
                "batch_size": 100,
                "network": {"output": "sigmoid"},
                "refinement": {"steps": 210000, "refresh_every": 700, "tolerance": 0.0},
            },
        },
        notes="For an accelerator: 300 epochs of clustering, a tenth of the authors'.",
    ),
    "n2d-mnist": Preset(
        about="a Gaussian mixture on the UMAP manifold of an autoencoder's codes",
        source="McConville, Santos-Rodríguez, Piechocki, Craddock: N2D. ICPR 2021",
        command="dec compare --preset n2d-mnist --methods ae+kmeans n2d --seeds 3",
        published="ACC 97.9 (Fashion-MNIST 67.2: --data fashion_mnist), one seed",
        measured="MNIST, three seeds on an H200: ae+kmeans 81.4 ± 1.7, n2d 97.8 ± 0.1; with --epochs 40, seed 0, on a "
                 "CPU: 76.2, 97.5; Fashion-MNIST 53.7, 61.1",
        run={
            "method": "n2d", "data": "mnist", "n_clusters": 10,
            "model": {"scaling": "range", "pretraining": {"epochs": 1000}},
        },
    ),
    "phones": Preset(
        about="k-means on three codes of a table of mobile phones: mixed columns, brand and title one-hot",
        source="a public walk-through of clustering Amazon's cell phones (items.csv, December 2019) with Keras",
        command="dec train ae+kmeans --preset phones",
        published="732 columns; 'reconstruction accuracy' 76 % in training, 65 % in validation",
        measured="729 columns; five seeds: 46 ± 10 % in training, 44 ± 5 % in validation (at most 58 and 51; with "
                 "--numeric minmax, one seed, 63 and 55 %)",
        run=_phones(code_activation="relu", output="sigmoid_mse"),
        notes="The gap to the source is not explained: seeds differ by more than 20 points, since ReLU codes of width "
              "3 lose units, and how it scaled its numbers is not told; its 732 columns are these and the titles of "
              "the three rows without a brand. The accuracy is Keras's categorical accuracy of the whole row: the part "
              "of the rows whose largest input and largest output are in the same column. A sigmoid cannot reproduce "
              "standardised numbers; the preset keeps the source's choice, phones-mixed does it right. dec train "
              "ae+dbscan or ae+hdbscan with the same preset cluster the same codes by density, as the source suggests.",
    ),
    "phones-mixed": Preset(
        about="the same table with a likelihood for every column, and linear codes",
        source="this package; no published counterpart",
        command="dec train ae+kmeans --preset phones-mixed",
        published="none",
        measured="seed 0: accuracy 92 % in training, 78 % in validation; the validation loss is least (1.6) after 16 "
                 "epochs and rises to 3.1: --keep-best true for new rows",
        run=_phones(output="mixed"),
    ),
    "imdb": Preset(
        about="codes of film reviews: counts of 5,000 words, a wide autoencoder",
        source="a public walk-through of clustering reviews with Keras",
        command="dec train ae+kmeans --preset imdb",
        published="none for 5,000 columns",
        measured="seed 0: loss .0241 -> .0210, validation .0225 -> .0213; 2 clusters that have nothing to do with the "
                 "sentiment (NMI 0.0); 15 minutes on one CPU core",
        run=_IMDB,
        notes="Half of the 50,000 reviews (seed 13), of which 2,000 are held out for validation.",
    ),
    "imdb-500": Preset(
        about="the same as the source ran it: count vectors cut off at 500 of the 5,000 words",
        source="a public walk-through of clustering reviews with Keras",
        command="dec train ae+kmeans --preset imdb-500",
        published="loss .0232 -> .0152, validation .0205 -> .0176 (first and last of 25 epochs)",
        measured="seed 0: loss .0167 -> .0116, validation .0148 -> .0129",
        notes="Lower than published from the first epoch on: its 500 words are not known, and the mean over other "
              "columns is another number.",
        run=_IMDB | {"features": {"vocabulary": 5000, "truncate": 500}},
    ),
    "imdb-manifold": Preset(
        about="dense regions of the manifold of the reviews' codes: UMAP to 5 dimensions, DBSCAN",
        source="a public walk-through of clustering reviews with Keras",
        command="dec train n2d --preset imdb-manifold",
        published="5 clusters, the noise counted as one of them",
        measured="one dense region: all 25,000 reviews in one cluster, which a run counts as failed; k-means 5 on the "
                 "codes: NMI 1.3 with the sentiment",
        run=_IMDB | {"method": "n2d", "n_clusters": 4,
                     "options": {"cluster": "dbscan", "eps": 1.0, "min_samples": 50, "neighbors": 50, "dimensions": 5}},
        notes="DBSCAN sees a uniform sample of 20,000 of the reviews, so that of the 50 neighbours a fifth is missing. "
              "The source goes on with k-means on the manifold (dec train n2d --preset imdb --cluster kmeans "
              "--neighbors 50 --dimensions 5 --n-clusters 5), on the codes (dec train ae+kmeans --preset imdb "
              "--n-clusters 5) and on the counts (dec train kmeans --preset imdb --n-clusters 3); --manifold isomap "
              "looks at 5,000 of the reviews.",
    ),
}


def preset(name: str) -> Run:
    """Return the run of a preset; a ValueError for an unknown name, with the nearest one."""
    if name not in PRESETS:
        raise UserError(unknown("preset", name, list(PRESETS)))
    return from_dict(Run, PRESETS[name].run)
