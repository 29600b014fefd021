"""Charts of accuracies as published and by patient."""

from io import BytesIO

from matplotlib.figure import Figure

from brain_tumor.plotting.claims import Accuracy, Claim, draw_claims, plot_accuracies, plot_claims

CLAIMS = [
    Claim("first\nmine", 0.9996, (0.93, 0.9, 0.95, 100), (0.83, 0.77, 0.88, 50), None),
    Claim("second\nmine", None, None, (0.2, 0.1, 0.3, 50), (0.15, 0.05, 0.25, 50)),
]


def test_plot_claims_describes_each_recipe_and_is_the_same_bytes() -> None:
    files = [BytesIO(), BytesIO()]
    for file in files:
        plot_claims(file, CLAIMS, "Claims")
    text = files[0].getvalue().decode()
    assert files[0].getvalue() == files[1].getvalue()
    assert "first, mine: published result 0.9996, all test images of the split 0.930 (0.900–0.950)" in text
    assert "second, mine: by patient, as far as known 0.200 (0.100–0.300), best baseline" in text


def test_draw_claims_low_accuracies_are_inside_the_axes() -> None:
    axes = Figure().subplots()
    draw_claims(axes, CLAIMS)
    assert axes.get_xlim()[0] < 0.05
    draw_claims(axes, CLAIMS[:1])
    assert axes.get_xlim()[0] > 0.25


def test_plot_accuracies_without_interval_or_number_leaves_them_out() -> None:
    file = BytesIO()
    plot_accuracies(
        file,
        [
            Accuracy("published", 0.99, 0.99, 0.99, 0, "#000000", "D"),
            Accuracy("ours", 0.8, 0.7, 0.9, 1500, "#123456", "o"),
        ],
        "t",
    )
    assert "Accuracy. published: 0.990; ours (n = 1,500): 0.800 (0.700–0.900)." in file.getvalue().decode()
