"""Quotas: what one key and one tenant may have in use, and what is left for others."""

from __future__ import annotations

import asyncio

import pytest

from service.core.errors import PalimpsestError, Reason
from service.core.model import Principal
from service.rpc.quotas import Limits, Quotas, Resource

CALLS = Resource.CALLS
NONE = Limits(1, 1, 1, 1)


def quotas(**limits: int) -> Quotas:
    given = Limits(**{"key": 100, "tenant": 100, "total": 1000, "small": 10, **limits})
    return Quotas({CALLS: given, Resource.MESSAGES: NONE, Resource.BYTES: NONE})


def key(tenant: int, name: str = "k") -> Principal:
    return Principal(tenant, name)


def take_all(quotas: Quotas, principal: Principal) -> tuple[int, PalimpsestError]:
    """How many could be taken, and why not one more."""
    account = quotas.account(principal)
    for taken in range(10_000):
        try:
            quotas.acquire(account, CALLS)
        except PalimpsestError as error:
            return taken, error
    raise AssertionError("there is no bound")


def test_one_key_and_one_tenant_have_bounds_of_their_own() -> None:
    limited = quotas(key=3, tenant=5)
    taken, error = take_all(limited, key(1, "a"))
    assert (taken, error.reason) == (3, Reason.QUOTA_EXCEEDED)
    assert error.metadata == {"quota": "calls_per_key"}
    assert error.retry_after
    taken, error = take_all(limited, key(1, "b"))
    assert (taken, error.metadata) == (2, {"quota": "calls_per_tenant"})
    assert take_all(limited, key(2, "a"))[0] == 3


def test_the_last_quarter_is_for_tenants_that_have_little() -> None:
    limited = quotas(key=40, tenant=40, total=100, small=5)
    assert take_all(limited, key(1))[0] == 40
    taken, error = take_all(limited, key(2))
    assert (taken, error.reason) == (35, Reason.OVERLOADED)
    assert [take_all(limited, key(n))[0] for n in range(3, 8)] == [5] * 5
    assert take_all(limited, key(9))[0] == 0


def test_what_is_given_back_can_be_taken_again() -> None:
    limited = quotas(key=2)
    account = limited.account(key(1))
    for _ in range(10):
        limited.acquire(account, CALLS, 2)
        limited.release(account, CALLS, 2)
    assert limited.in_use(CALLS) == 0


async def test_who_waits_goes_on_in_order_when_there_is_room() -> None:
    limited = quotas(key=10)
    account = limited.account(key(1))
    limited.acquire(account, CALLS, 10)
    order: list[int] = []

    async def wait(number: int, amount: int) -> None:
        await limited.acquire_in_turn(account, CALLS, amount, 60)
        order.append(number)

    waiting = [asyncio.create_task(wait(n, amount)) for n, amount in enumerate((6, 1, 3))]
    await asyncio.sleep(0)
    limited.release(account, CALLS, 5)
    await asyncio.sleep(0)
    assert order == [], "a small one went before a large one that came first"
    limited.release(account, CALLS, 5)
    await asyncio.gather(*waiting)
    assert order == [0, 1, 2]
    assert limited.in_use(CALLS) == 10


async def test_waiting_ends_with_a_refusal_and_leaves_nothing() -> None:
    limited = quotas(key=1)
    account = limited.account(key(1))
    limited.acquire(account, CALLS)
    with pytest.raises(PalimpsestError) as caught:
        await limited.acquire_in_turn(account, CALLS, 1, 0.01)
    assert caught.value.reason is Reason.QUOTA_EXCEEDED
    cancelled = asyncio.create_task(limited.acquire_in_turn(account, CALLS, 1, 60))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.wait((cancelled,))
    limited.release(account, CALLS)
    assert limited.in_use(CALLS) == 0
    async with asyncio.timeout(30):
        await limited.acquire_in_turn(account, CALLS, 1, 60)


async def test_keys_that_wait_take_turns() -> None:
    limited = quotas(tenant=1)
    first, second = limited.account(key(1, "a")), limited.account(key(1, "b"))
    limited.acquire(first, CALLS)
    order: list[str] = []

    async def pass_through(name: str) -> None:
        account = limited.account(key(1, name))
        await limited.acquire_in_turn(account, CALLS, 1, 60)
        order.append(name)
        limited.release(account, CALLS)

    waiting = [asyncio.create_task(pass_through(name)) for name in "aaab"]
    await asyncio.sleep(0)
    limited.release(first, CALLS)
    await asyncio.gather(*waiting)
    assert order.index("b") <= 1
    assert second.key[CALLS] == 0
