"""A shop that takes payments through the node, as its client: people, sales, a page, a receiver.

sales        what is sold, to whom, with which card, what happens afterwards, and where it must end
clerk        makes the sales over HTTP, and does not give up when an answer is lost
receiver     takes the node's webhooks: verifies them and notes their order
server       the shop's own address: the page for a browser, and where webhooks go
page.html, shop.js, shop.css    the page: no framework, and no token in any address
"""

from tidegate.sandbox.shop.clerk import Clerk, Sold
from tidegate.sandbox.shop.receiver import Receiver
from tidegate.sandbox.shop.sales import SALES, Sale, Step
from tidegate.sandbox.shop.server import Shop

__all__ = ["SALES", "Clerk", "Receiver", "Sale", "Shop", "Sold", "Step"]
