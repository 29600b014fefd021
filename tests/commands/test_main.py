"""The `brain-tumor` command."""

import pytest

from brain_tumor.commands import main as command


@pytest.mark.parametrize("name", ["predict", "app", "audit"])
def test_main_passes_the_arguments_to_the_command(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        command.main([name, "--help"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: brain-tumor {name} ")


def test_main_unknown_command_is_rejected(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        command.main(["train"])
    assert stop.value.code == 2
    assert "invalid choice: 'train'" in capsys.readouterr().err
