"""The archives that tests make from a built one are those that a build gives."""

from tests.conftest import NewStack
from tests.running_stack import handler


def test_another_version_name_and_handler_give_the_bytes_of_a_build(new_stack: NewStack) -> None:
    stack = new_stack("archives")
    archive = stack.add_archive("7.0", model="other", handler="slow")
    checksum = archive.with_name(f"{archive.name}.sha256")
    made = archive.read_bytes(), checksum.read_text()
    archive.unlink()
    checksum.unlink()
    built = stack.generate_mar("7.0", "model.name=other", *handler("slow"))
    assert built.returncode == 0, built.stderr
    assert (archive.read_bytes(), checksum.read_text()) == made
