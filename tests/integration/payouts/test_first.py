import time
async def test_one(open_world):
    t=time.time()
    w = await open_world(factor=10)
    await w.local()
    print("start", time.time()-t)
    ids=[await w.offer() for _ in range(5)]
    ids.append(await w.offer(dialect="spec"))
    for i in ids: await w.reaches(i, {"fulfilled"})
    print("done", time.time()-t)
    await w.settle()
    b=await w.assert_right()
    print("right", time.time()-t, b.balances)
