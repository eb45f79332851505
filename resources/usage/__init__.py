"""What tenants use: amounts by key, operation and UTC day, added in the transaction of whoever counts them. Works on
sessions, so that whatever stores something can count it.
"""
