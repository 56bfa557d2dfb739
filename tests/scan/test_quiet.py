import threading
import warnings

from pipeline.scan.without_warnings import without_warnings


def warn(module):
    warnings.warn_explicit("about a value", UserWarning, f"{module}.py", 1, module=module, registry={})


def test_only_pydicom_is_quiet_and_only_inside(recwarn):
    with without_warnings():
        warn("pydicom.valuerep")
        warn("pydicomlike")
    warn("pydicom.hooks")
    assert [w.filename for w in recwarn] == ["pydicomlike.py", "pydicom.hooks.py"]


def test_threads_that_come_and_go_leave_things_as_they_were():
    before = list(warnings.filters)
    first_in, second_in, first_out = threading.Event(), threading.Event(), threading.Event()
    seen = []

    def first():
        with without_warnings():
            first_in.set()
            second_in.wait(5)
        first_out.set()

    def second():
        first_in.wait(5)
        with without_warnings():
            second_in.set()
            first_out.wait(5)
            seen.append(warnings.filters[0][0])

    threads = [threading.Thread(target=target) for target in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == ["ignore"]
    assert warnings.filters == before
